import type { Database } from '../db/database.ts';
import { findManifestByTag } from '../db/manifests.ts';
import { nextTurn } from '../db/next-turn.ts';
import type { Db } from '../db/prepare.ts';
import {
  compareKeys,
  findAnnotations,
  listChildren,
  listReferrers,
  type ReferrerKey,
  type ReferrerRow,
} from '../db/referrers.ts';
import { findRepository } from '../db/repositories.ts';
import { sliceSize } from '../db/slices.ts';
import type { Digest } from '../oci/digest.ts';
import { maxArtifactType } from '../oci/manifest.ts';
import type { RepositoryName } from '../oci/name.ts';
import { fallbackTag, parseTag } from '../oci/reference.ts';
import { checkIdentity } from './another-repository.ts';

export interface ReferrerPage {
  /** Descriptors (end-12), each as JSON text. */
  readonly descriptors: readonly string[];
  /** Key of the last descriptor, if more follow. */
  readonly next: ReferrerKey | undefined;
}

export interface ReferrerRequest {
  readonly after: ReferrerKey;
  /** Maximum number of descriptors; `undefined`: as many as fit in a page. */
  readonly n: number | undefined;
  readonly artifactType: string | undefined;
  /** Aborted when the client is gone. */
  readonly signal?: AbortSignal | undefined;
}

/** 4 MiB, the size of manifest that all registries and clients accept, less the index around the descriptors. */
const maxPageBytes = (4 << 20) - 256;
/** Bytes of annotations read in one turn of the event loop, unless one manifest has more. */
const maxReadBytes = 512 << 10;

/**
 * The referrers of `subject` in this repository: signatures, then attestations, then all others, each by digest. Includes
 * manifests that an old client listed only under the fallback tag. An unknown repository has no referrers.
 * @param authorized id of the repository that the caller was authorized for, if known
 * @throws AnotherRepository; the signal's reason
 */
export async function listReferrerPage(
  { read }: Pick<Database, 'read'>,
  name: RepositoryName,
  subject: Digest,
  { after, n = Number.POSITIVE_INFINITY, artifactType, signal }: ReferrerRequest,
  authorized?: number,
): Promise<ReferrerPage> {
  await nextTurn(signal);
  const repository = await findRepository(read, name);
  checkIdentity(authorized, repository);
  if (repository === undefined || matchesNothing(artifactType)) return { descriptors: [], next: undefined };
  const listed = await listedByFallbackTag(read, repository, name, subject, signal);
  const fallback = listed.filter((row) => artifactType === undefined || row.artifact_type === artifactType);
  const page: Entry[] = [];
  let room = maxPageBytes;
  for (let last = after; n > 0; await nextTurn(signal)) {
    // Reads one row more than the page needs, to see whether more follow.
    const limit = Math.min(n - page.length + 1, sliceSize);
    const rows = await listReferrers(read, repository, subject, { after: last, limit, artifactType });
    const more = fallback.filter((row) => compareKeys(row, last) > 0).slice(0, limit);
    const following = more.length === 0 ? rows : [...rows, ...more].sort(compareKeys).slice(0, limit);
    for (const row of following) {
      const entry = entryOf(row);
      room -= entry.size;
      if (page.length === n || (room < 0 && page.length > 0)) {
        return { descriptors: await printAll(read, page, signal), next: page.at(-1)?.row };
      }
      page.push(entry);
    }
    if (following.length < limit) break;
    last = following.at(-1) as ReferrerRow;
  }
  return { descriptors: await printAll(read, page, signal), next: undefined };
}

/** Whether no manifest can have this artifact type (see `oci/manifest.ts`). A query would fail: PostgreSQL rejects NUL in text. */
function matchesNothing(artifactType: string | undefined): boolean {
  return artifactType !== undefined && (artifactType.length > maxArtifactType || artifactType.includes('\0'));
}

/** A referrer, and its descriptor without annotations. */
interface Entry {
  readonly row: ReferrerRow;
  readonly text: string;
  /** Bytes of the whole descriptor, with a comma. */
  readonly size: number;
}

function entryOf(row: ReferrerRow): Entry {
  const { media_type: mediaType, digest, size, artifact_type, annotations_size } = row;
  const text = JSON.stringify({ mediaType, digest, size, artifactType: artifact_type ?? undefined });
  const annotations = annotations_size === 0 ? 0 : annotationsField.length + annotations_size;
  return { row, text, size: Buffer.byteLength(text) + annotations + 1 };
}

const annotationsField = ',"annotations":';

/** Reads the annotations of many small manifests together, and those of large ones in separate turns of the event loop. */
async function printAll(db: Db, page: readonly Entry[], signal?: AbortSignal): Promise<string[]> {
  const descriptors: string[] = [];
  for (let start = 0; start < page.length; ) {
    let [end, bytes] = [start, 0];
    while (end < page.length && (end === start || bytes + sizeAt(page, end) <= maxReadBytes)) {
      bytes += sizeAt(page, end++);
    }
    const part = page.slice(start, end);
    const ids = part.filter(({ row }) => row.annotations_size > 0).map(({ row }) => row.id);
    const found = ids.length === 0 ? new Map<number, string>() : await findAnnotations(db, ids);
    for (const { row, text } of part) {
      const annotations = found.get(row.id);
      descriptors.push(
        annotations === undefined ? text : `${text.slice(0, -1)}${annotationsField}${annotations}}`,
      );
    }
    start = end;
    if (start < page.length) await nextTurn(signal);
  }
  return descriptors;
}

function sizeAt(page: readonly Entry[], index: number): number {
  return (page[index] as Entry).size;
}

/** Manifests of the repository that the index under the fallback tag lists, without those whose own `subject` is this one. */
async function listedByFallbackTag(
  db: Db,
  repository: number,
  name: RepositoryName,
  subject: Digest,
  signal?: AbortSignal,
): Promise<ReferrerRow[]> {
  const index = await findManifestByTag(db, name, parseTag(fallbackTag(subject)));
  if (index === undefined) return [];
  const listed: ReferrerRow[] = [];
  for (let after = ''; ; await nextTurn(signal)) {
    const rows = await listChildren(db, repository, index.id, after);
    for (const row of rows) if (row.subject_digest !== subject) listed.push(row);
    if (rows.length < sliceSize) return listed.sort(compareKeys);
    after = rows.at(-1)?.digest as string;
  }
}
