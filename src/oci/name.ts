import { quote } from './digest.ts';
import { RegistryError } from './errors.ts';

/** A repository's name, `<name>` of the spec; made only by {@link parseName}. */
export type RepositoryName = string & { readonly __brand: 'RepositoryName' };

const maxNameLength = 255;
// Every alternative starts with a different character, so matching takes linear time.
const component = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*';
const namePattern = new RegExp(`^${component}(?:/${component})*$`);

/** @throws RegistryError `NAME_INVALID` */
export function parseName(text: string): RepositoryName {
  if (text.length > maxNameLength) {
    throw new RegistryError(
      'NAME_INVALID',
      `the name has ${text.length} characters; at most ${maxNameLength} are allowed`,
    );
  }
  const name = asName(text);
  if (name === undefined) {
    throw new RegistryError(
      'NAME_INVALID',
      `${quote(text)} is not a name: lowercase letters and digits, separated by '.', '_', '__', '-' or '/'`,
    );
  }
  return name;
}

/** `text` as a repository name, or `undefined`. */
export function asName(text: string): RepositoryName | undefined {
  return text.length <= maxNameLength && namePattern.test(text) ? (text as RepositoryName) : undefined;
}

/** The first component of a repository's name that has several: the name of the user or organisation that owns the repository. */
export type Namespace = string & { readonly __brand: 'Namespace' };

const maxNamespaceLength = 128;
const componentPattern = new RegExp(`^${component}$`);

/** `text` as a namespace, or `undefined`. */
export function asNamespace(text: string): Namespace | undefined {
  return text.length <= maxNamespaceLength && componentPattern.test(text) ? (text as Namespace) : undefined;
}

/** The repository's namespace; `undefined` for a name of one component, whose repository only administrators control. */
export function namespaceOf(name: RepositoryName): Namespace | undefined {
  const slash = name.indexOf('/');
  return slash === -1 ? undefined : (name.slice(0, slash) as Namespace);
}

/** A robot's name, such as `acme+deploy` in the namespace `acme`; made only by {@link asRobotName}. */
export type RobotName = string & { readonly __brand: 'RobotName' };

/** An account's name: that of a user or organisation is also its namespace, that of a robot begins with its namespace. */
export type AccountName = Namespace | RobotName;

/** `text` as a robot's name, with its namespace, or `undefined`. */
export function asRobotName(text: string): { name: RobotName; namespace: Namespace } | undefined {
  const [owner = '', own = '', ...rest] = text.split('+', 3);
  const namespace = asNamespace(owner);
  if (namespace === undefined || asNamespace(own) === undefined || rest.length > 0) return undefined;
  return { name: text as RobotName, namespace };
}

/** `text` as an account name, or `undefined`. */
export function asAccountName(text: string): AccountName | undefined {
  return asNamespace(text) ?? asRobotName(text)?.name;
}

/** Bounds, both exclusive, of the names in a namespace in byte order: '0' is the character after '/'. */
export function namespaceRange(namespace: string): { readonly low: string; readonly high: string } {
  return { low: `${namespace}/`, high: `${namespace}0` };
}
