// The storage tree of CNCF distribution (registry:2 and registry:3), as far as it is read.
import { asDigest, type Digest } from '../../oci/digest.ts';

const root = 'docker/registry/v2/';
export const blobsFolder = `${root}blobs/`;
export const repositoriesFolder = `${root}repositories/`;

/** What a file below {@link repositoriesFolder} says about its repository. */
export type Entry =
  /** A link: the repository holds this blob. */
  | { readonly kind: 'layer'; readonly digest: Digest }
  /** A link: the repository holds this manifest. */
  | { readonly kind: 'revision'; readonly digest: Digest }
  /** A link to the manifest of a tag. */
  | { readonly kind: 'tag'; readonly tag: string }
  /** A link to a manifest that the tag points to, or did. */
  | { readonly kind: 'tag-history'; readonly tag: string }
  /** Bytes of an unfinished upload. */
  | { readonly kind: 'upload' }
  /** A signature of schema 1. */
  | { readonly kind: 'signature' }
  | { readonly kind: 'unknown' };

export interface Placed {
  readonly repository: string;
  readonly entry: Entry;
}

/** Parses the key of a file below {@link repositoriesFolder}. Folders that begin with `_` belong to the repository above them. */
export function parseRepositoryFile(key: string): Placed {
  const path = key.slice(repositoriesFolder.length);
  const end = /(?:^|\/)_/.exec(path)?.index ?? path.lastIndexOf('/');
  return { repository: path.slice(0, Math.max(end, 0)), entry: parseEntry(path.slice(end + 1)) };
}

function parseEntry(path: string): Entry {
  const [folder, ...rest] = path.split('/');
  if (folder === '_uploads') return { kind: 'upload' };
  if (folder === '_layers') return parseLink('layer', rest);
  const [kind, ...inside] = folder === '_manifests' ? rest : [];
  if (kind === 'revisions')
    return inside[2] === 'signatures' ? { kind: 'signature' } : parseLink('revision', inside);
  const [tag, part, file, ...more] = inside;
  if (kind !== 'tags' || tag === undefined) return { kind: 'unknown' };
  if (part === 'index') return { kind: 'tag-history', tag };
  return part === 'current' && file === 'link' && more.length === 0
    ? { kind: 'tag', tag }
    : { kind: 'unknown' };
}

function parseLink(kind: 'layer' | 'revision', [algorithm, hex, file, ...more]: readonly string[]): Entry {
  const digest = asDigest(`${algorithm}:${hex}`);
  if (digest === undefined || file !== 'link' || more.length > 0) return { kind: 'unknown' };
  return { kind, digest };
}
