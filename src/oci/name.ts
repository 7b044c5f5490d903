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

/** The first component of a repository's name that has more than one: the name of the user or organisation that it belongs to. */
export type Namespace = string & { readonly __brand: 'Namespace' };

const maxNamespaceLength = 128;
const componentPattern = new RegExp(`^${component}$`);

/** The namespace that `text` spells, or `undefined`. */
export function asNamespace(text: string): Namespace | undefined {
  return text.length <= maxNamespaceLength && componentPattern.test(text) ? (text as Namespace) : undefined;
}

/** Where the repository belongs; `undefined` for a name of one component, which is nobody's but the administrators'. */
export function namespaceOf(name: RepositoryName): Namespace | undefined {
  const slash = name.indexOf('/');
  return slash === -1 ? undefined : (name.slice(0, slash) as Namespace);
}

/** A robot's name: `acme+deploy` works for the namespace `acme`; made only by {@link asRobotName}. */
export type RobotName = string & { readonly __brand: 'RobotName' };

/** What an account may be called: users and organisations as their namespace, robots after it. */
export type AccountName = Namespace | RobotName;

/** The robot's name that `text` spells, with the namespace that it works for, or `undefined`. */
export function asRobotName(text: string): { name: RobotName; namespace: Namespace } | undefined {
  const [owner = '', own = '', ...rest] = text.split('+', 3);
  const namespace = asNamespace(owner);
  if (namespace === undefined || asNamespace(own) === undefined || rest.length > 0) return undefined;
  return { name: text as RobotName, namespace };
}

/** The account's name that `text` spells, or `undefined`. */
export function asAccountName(text: string): AccountName | undefined {
  return asNamespace(text) ?? asRobotName(text)?.name;
}
