import { countRepositories } from '../db/fsck.ts';
import type { Inspection } from '../db/inspection.ts';
import { damageOf } from '../db/sqlite/damage.ts';
import { checkBlobFiles, checkBlobs, checkLinks } from './fsck/blobs.ts';
import { checkManifests, checkTags } from './fsck/manifests.ts';
import { checkStagedFiles, checkUploads } from './fsck/uploads.ts';
import { checkUsage } from './fsck/usage.ts';
import type { Finding, Walk, Walked } from './fsck/walk.ts';
import { compare, explain, isObjection, type Places } from './store-identity.ts';

export interface FsckParts extends Pick<Walk, 'store' | 'clock' | 'readData' | 'missingReferences'> {
  readonly database: Inspection;
  readonly places: Places;
}

/**
 * Compares the stored files with the rows of the database, and changes nothing. The registry may be running. Keeps one page of
 * rows in memory.
 */
export async function fsck(
  { database, places, ...parts }: FsckParts,
  report: (finding: Finding) => void,
): Promise<Walked> {
  const walked: Walked = {
    repositories: 0,
    blobs: 0,
    bytes: 0,
    links: 0,
    manifests: 0,
    tags: 0,
    uploads: 0,
    files: 0,
  };
  try {
    // The rows of a damaged database prove nothing about the rest.
    const problems = await database.integrityProblems();
    if (problems.length > 0) for (const problem of problems) reportDamage(problem, report);
    else await walkAll({ ...parts, read: database.read, walked, report }, database, places);
  } catch (error) {
    const problem = damageOf(error);
    if (problem === undefined) throw error;
    reportDamage(problem, report);
  }
  return walked;
}

async function walkAll(walk: Walk, database: Inspection, places: Places): Promise<void> {
  const { walked, report } = walk;
  await reportObjection(walk, places);
  walked.repositories = await countRepositories(walk.read);
  await reportBrokenRows(database, report);
  await checkTags(walk);
  await checkManifests(walk);
  await checkLinks(walk);
  await checkUsage(walk);
  await checkBlobs(walk);
  await checkUploads(walk);
  await checkBlobFiles(walk);
  await checkStagedFiles(walk);
}

function reportDamage(problem: string, report: (finding: Finding) => void): void {
  const affects = ['everything'];
  report({ severity: 'error', kind: 'database-damaged', subject: 'the database', problem, affects });
}

/** Reports if database and store belong to different registries, or one is an older copy. */
async function reportObjection({ read, store, report }: Walk, places: Places): Promise<void> {
  const comparison = await compare(read, store);
  const { relation } = comparison;
  if (!isObjection(relation)) return;
  const problem = explain(comparison, places);
  report({ severity: 'error', kind: relation, subject: 'the registry', problem, affects: ['everything'] });
}

/** Foreign keys that `checkTags` and `checkLinks` check; their findings also list what a broken row affects. */
const walkedKeys = new Set(['tags.manifest_id', 'repository_blobs.digest']);

async function reportBrokenRows(database: Inspection, report: (finding: Finding) => void): Promise<void> {
  for (const { table, row, column, parent } of await database.brokenForeignKeys()) {
    if (walkedKeys.has(`${table}.${column}`)) continue;
    report({
      severity: 'error',
      kind: 'row-broken',
      subject: `row ${row} of ${table}`,
      problem: `its ${column} refers to a missing row of ${parent}`,
      affects: [],
    });
  }
}
