import { quote } from './digest.ts';
import { RegistryError } from './errors.ts';

/** A repository's name, `<name>` of the spec; made only by {@link parseName}. */
export type RepositoryName = string & { readonly __brand: 'RepositoryName' };

const maxNameLength = 255;
// Every alternative starts with a character that no other can match there, so matching is linear in JavaScript too.
const component = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*';
const namePattern = new RegExp(`^${component}(?:/${component})*$`);

/** @throws RegistryError `NAME_INVALID` */
export function parseName(text: string): RepositoryName {
  if (text.length > maxNameLength) {
    throw new RegistryError(
      'NAME_INVALID',
      `a name has at most ${maxNameLength} characters, this one ${text.length}`,
    );
  }
  const name = asName(text);
  if (name === undefined) {
    throw new RegistryError(
      'NAME_INVALID',
      `${quote(text)}: components of lowercase letters and digits, parted by '.', '_', '__' or '-', joined by '/'`,
    );
  }
  return name;
}

/** The name that `text` spells, or `undefined`. */
export function asName(text: string): RepositoryName | undefined {
  return text.length <= maxNameLength && namePattern.test(text) ? (text as RepositoryName) : undefined;
}
