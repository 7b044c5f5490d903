// Names of hidden repositories, which contain what is in the trash. '@' is in no name that a client can send, so that no request finds
// them; the name before it keeps them in their namespace.
import type { RepositoryName } from './name.ts';

const mark = '@';

/** The hidden name of a deleted repository. */
export function deletedName(name: RepositoryName, id: number): RepositoryName {
  return `${name}${mark}${id}` as RepositoryName;
}

/** The name of the hidden repository with the deleted manifests of the repository `id`. */
export function trashName(name: RepositoryName, id: number): RepositoryName {
  return `${name}${mark}trash-${id}` as RepositoryName;
}

/** The name without the mark of a hidden repository. */
export function originalName(name: string): RepositoryName {
  return name.split(mark, 1)[0] as RepositoryName;
}

/**
 * A name for messages: `acme/app (in the trash)` for a hidden repository.
 * @param reference follows the name: `:v1`
 */
export function printName(name: string, reference = ''): string {
  return name.includes(mark) ? `${originalName(name)}${reference} (in the trash)` : `${name}${reference}`;
}

/** Bounds, both exclusive, of the names of the hidden repositories of one name: 'A' is the character after '@'. */
export function hiddenRange(name: RepositoryName): { readonly low: string; readonly high: string } {
  return { low: `${name}${mark}`, high: `${name}A` };
}
