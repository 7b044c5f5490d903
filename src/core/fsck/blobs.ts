import { findBlobRow } from '../../db/blobs.ts';
import { everyLink, everyStoredBlob, findStoredBlob, type StoredBlobRow } from '../../db/fsck.ts';
import { asDigest, type Digest } from '../../oci/digest.ts';
import { printName } from '../../oci/hidden-name.ts';
import { type BlobKey, parseBlobKey } from '../../storage/blob-store.ts';
import { concurrently } from '../../storage/concurrently.ts';
import { checkBytes } from '../check-bytes.ts';
import { affectedByBlob } from './affected.ts';
import { checkRow, type Finding, type FindingKind, type Walk } from './walk.ts';

/** Concurrent checks. A bucket or database answers this many as fast as one; more would delay its other clients. */
const concurrency = 8;

/** Checks that every stored blob has its bytes under its generation's key. */
export async function checkBlobs(walk: Walk): Promise<void> {
  await concurrently(everyStoredBlob(walk.read), concurrency, async (row) => {
    await checkRow(
      { ...row },
      () => findStoredBlob(walk.read, row.digest),
      (row) => problemsOf(walk, row),
      walk.report,
    );
    walk.walked.blobs += 1;
  });
}

async function problemsOf(walk: Walk, row: StoredBlobRow): Promise<Finding[]> {
  const subject = `blob ${row.digest}`;
  const parked = row.parked_at === null ? [] : [parkedNote(subject, row.parked_at)];
  const finding = async (kind: FindingKind, problem: string): Promise<Finding[]> => {
    const affects = await affectedByBlob(walk.read, row.digest);
    // Damage to a parked blob is not an error, because no repository holds it.
    if (parked.length > 0 && affects.length === 0) return parked;
    return [{ severity: 'error', kind, subject, problem, affects }];
  };
  const digest = asDigest(row.digest);
  if (digest === undefined) return finding('row-broken', 'the digest in its row is invalid');
  const found = await checkBytes(
    walk.store,
    { ...row, digest },
    {
      readData: walk.readData,
      onRead(bytes) {
        walk.walked.bytes += bytes;
      },
    },
  );
  if (found !== undefined) return finding(found.kind, found.problem);
  // Without reading the bytes, only the mark tells that they are wrong.
  if (row.damaged_at !== null) return finding('blob-damaged', markedNote(walk.readData, row.damaged_at));
  return parked;
}

function markedNote(readData: boolean, since: number): string {
  const marked = `it is marked as damaged since ${new Date(since).toISOString()}`;
  return readData ? `${marked}, but its bytes are right; \`berth scrub run\` ends the mark` : marked;
}

function parkedNote(subject: string, since: number): Finding {
  const problem = `found without a row on ${new Date(since).toISOString()}, and kept for deletes.keepUnknownFor; a push of its digest keeps it for good`;
  return { severity: 'note', kind: 'blob-parked', subject, problem, affects: [] };
}

/** Checks that every blob that a repository holds is stored. */
export async function checkLinks({ read, walked, report }: Walk): Promise<void> {
  for await (const { name, digest, state } of everyLink(read)) {
    walked.links += 1;
    if (state === 'stored') continue;
    report({
      severity: 'error',
      kind: 'link-broken',
      subject: `blob ${digest} of ${printName(name)}`,
      problem: state === null ? 'it has no row' : `its bytes are ${state}`,
      affects: await affectedByBlob(read, digest),
    });
  }
}

/** Checks that every blob file belongs to a row. One without a row is no damage: a push in progress, or left by a crash. */
export async function checkBlobFiles(walk: Walk): Promise<void> {
  await concurrently(walk.store.list(), concurrency, async ({ name }) => {
    walk.walked.files += 1;
    const parsed = parseBlobKey(name);
    if (parsed === undefined) {
      walk.report(note('file-unknown', name, 'not a blob; Berth ignores it'));
    } else if (!(await isKnown(walk, parsed)) && (await exists(walk, name))) {
      const problem = 'it has no row: either a push is in progress, or garbage collection will park it';
      walk.report(note('blob-orphan', name, problem));
    }
  });
}

async function isKnown({ read }: Walk, { digest, generation }: { digest: Digest; generation: number }) {
  const row = await findBlobRow(read, digest);
  if (row?.state === 'stored') return generation === row.generation;
  return row?.state === 'deleting' && generation === row.generation - 1;
}

async function exists({ store }: Walk, key: BlobKey): Promise<boolean> {
  return (await store.stat(key)) !== undefined;
}

function note(kind: FindingKind, file: string, problem: string): Finding {
  return { severity: 'note', kind, subject: `file ${file}`, problem, affects: [] };
}
