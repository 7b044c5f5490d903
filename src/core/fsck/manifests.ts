import {
  everyManifestId,
  everyTag,
  findWholeManifest,
  linkedBlobs,
  listReferences,
  type WholeManifestRow,
} from '../../db/fsck.ts';
import { heldManifests } from '../../db/manifests.ts';
import { asDigest, type Digest, digestAlgorithm } from '../../oci/digest.ts';
import { RegistryError } from '../../oci/errors.ts';
import { printName } from '../../oci/hidden-name.ts';
import { type Manifest, parseManifest } from '../../oci/manifest.ts';
import { referrerRank } from '../../oci/referrer-rank.ts';
import { digestBytes } from '../running-hash.ts';
import { affectedByManifest } from './affected.ts';
import { checkRow, type Finding, type FindingKind, type Walk } from './walk.ts';

/** Checks that the bytes of every manifest match its digest and its recorded columns, and that its references exist. */
export async function checkManifests(walk: Walk): Promise<void> {
  for await (const id of everyManifestId(walk.read)) {
    const readAgain = () => wholeRow(walk, id);
    const row = await readAgain();
    if (row === undefined) continue;
    await checkRow(row, readAgain, (row) => problemsOf(walk, row), walk.report);
    walk.walked.manifests += 1;
  }
}

async function wholeRow({ read }: Walk, id: number): Promise<WholeManifestRow | undefined> {
  const row = await findWholeManifest(read, id);
  return row && { ...row };
}

type Problem = Pick<Finding, 'severity' | 'kind' | 'problem'>;

async function problemsOf(walk: Walk, row: WholeManifestRow): Promise<Finding[]> {
  const problems = await listProblems(walk, row);
  if (problems.length === 0) return [];
  const subject = `manifest ${row.digest} of ${printName(row.name)}`;
  const affects = await affectedByManifest(walk.read, row);
  return problems.map((problem) => ({ ...problem, subject, affects }));
}

/** Compares the manifest's bytes with its digest. */
export function contentProblem(row: Pick<WholeManifestRow, 'digest' | 'bytes'>): Problem | undefined {
  const digest = asDigest(row.digest);
  if (digest === undefined) return error('row-broken', 'the digest in its row is invalid');
  const actual = digestBytes(digestAlgorithm(digest), row.bytes);
  return actual === digest ? undefined : error('manifest-content', `the digest of its bytes is ${actual}`);
}

async function listProblems(walk: Walk, row: WholeManifestRow): Promise<Problem[]> {
  const damage = contentProblem(row);
  if (damage !== undefined) return [damage];
  const problems: Problem[] = [];
  if (row.size !== row.bytes.length) {
    problems.push(error('manifest-size', `it has ${row.bytes.length} bytes, not ${row.size} as recorded`));
  }
  try {
    const manifest = parseManifest(row.bytes, row.media_type);
    problems.push(
      ...(await recordProblems(walk, row, manifest)),
      ...(await missingProblems(walk, row, manifest)),
    );
  } catch (cause) {
    if (!(cause instanceof RegistryError)) throw cause;
    problems.push(error('manifest-invalid', `it is not a valid ${row.media_type}: ${cause.detail}`));
  }
  return problems;
}

/** Compares the columns that were derived from the manifest's bytes with these bytes. */
async function recordProblems(walk: Walk, row: WholeManifestRow, manifest: Manifest): Promise<Problem[]> {
  const references = await listReferences(walk.read, row.id);
  const recorded = (kind: 'blob' | 'child') =>
    sorted(references.filter((reference) => reference.kind === kind));
  const { artifactType = null } = manifest;
  const annotations = manifest.annotations ? JSON.stringify(manifest.annotations) : null;
  const columns: readonly [
    name: string,
    recorded: string | number | null,
    derived: string | number | null,
  ][] = [
    ['blobs', recorded('blob'), sorted(manifest.blobs)],
    ['children', recorded('child'), sorted(manifest.children)],
    ['subject', row.subject_digest, manifest.subject?.digest ?? null],
    ['artifact type', row.artifact_type, artifactType],
    ['rank among referrers', row.rank, referrerRank(artifactType)],
    ['annotations', row.annotations, annotations],
    ['size of its annotations', row.annotations_size, Buffer.byteLength(annotations ?? '')],
  ];
  const wrong = columns.filter(([, recorded, derived]) => recorded !== derived).map(([name]) => name);
  return wrong.length === 0
    ? []
    : [error('manifest-record', `its recorded ${wrong.join(', ')} differ from its bytes`)];
}

function sorted(references: readonly { digest: string }[]): string {
  return [...new Set(references.map((reference) => reference.digest))].sort().join(' ');
}

/** Checks that the repository holds the blobs and children of the manifest. `checkLinks` checks that held blobs are stored. */
async function missingProblems(
  { read, missingReferences }: Walk,
  row: WholeManifestRow,
  { blobs, children }: Manifest,
): Promise<Problem[]> {
  const digests = (list: Manifest['blobs']): Digest[] => [...new Set(list.map(({ digest }) => digest))];
  const held = await linkedBlobs(read, row.repository_id, digests([...blobs, ...children]));
  // A deleted index may have children that were not deleted.
  for (const repository of [row.repository_id, row.trash_of ?? row.repository_id]) {
    for (const digest of await heldManifests(read, repository, digests(children))) held.add(digest);
  }
  const absent = (list: Manifest['blobs']) => digests(list).filter((digest) => !held.has(digest));
  return [
    ...absent(blobs).map((digest): Problem => {
      const severity = missingReferences === 'all' ? 'note' : 'error';
      return { severity, kind: 'manifest-blob', problem: `its repository does not hold blob ${digest}` };
    }),
    ...absent(children).map((digest): Problem => {
      // A child may be deleted while an index still refers to it, and pushed later if the settings allow it.
      return { severity: 'note', kind: 'manifest-child', problem: `its repository does not hold ${digest}` };
    }),
  ];
}

function error(kind: FindingKind, problem: string): Problem {
  return { severity: 'error', kind, problem };
}

/** Checks that every tag points to a manifest of its own repository. */
export async function checkTags({ read, walked, report }: Walk): Promise<void> {
  for await (const { name, repository_id, tag, manifest_repository_id } of everyTag(read)) {
    walked.tags += 1;
    if (manifest_repository_id === repository_id) continue;
    const subject = printName(name, `:${tag}`);
    const where = manifest_repository_id === null ? 'that does not exist' : 'of another repository';
    report({
      severity: 'error',
      kind: 'tag-broken',
      subject: `tag ${subject}`,
      problem: `it points to a manifest ${where}`,
      affects: [subject],
    });
  }
}
