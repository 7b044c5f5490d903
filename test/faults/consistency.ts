import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/** The state of a data directory, checked without the code under test. */
export interface Findings {
  /** Violations of Berth's guarantees. */
  readonly problems: string[];
  /** Staged files whose session is gone. */
  readonly orphanUploads: string[];
  /** Blob files without a row. */
  readonly orphanBlobs: string[];
}

interface BlobRow {
  digest: string;
  size: number;
  generation: number;
  state: string;
}

interface UploadRow {
  id: string;
  size: number;
  digest: string;
  staged: string;
}

const blobsFolder = 'docker/registry/v2/blobs';

/** Reads all rows and files of `data`. A registry may be using it, but no request may be running. */
export function examine(data: string): Findings {
  const database = new DatabaseSync(join(data, 'berth.db'), { readOnly: true });
  try {
    const all = <T>(query: string): T[] => database.prepare(query).all() as T[];
    const blobs = all<BlobRow>('select digest, size, generation, state from blobs');
    const uploads = all<UploadRow>('select id, size, digest, staged from uploads');
    return {
      problems: [
        ...all<{ integrity_check: string }>('pragma integrity_check')
          .map((row) => row.integrity_check)
          .filter((text) => text !== 'ok'),
        ...all('pragma foreign_key_check').map((row) => `foreign key: ${JSON.stringify(row)}`),
        ...blobs.flatMap((row) => blobProblems(data, row)),
        ...uploads.flatMap((row) => uploadProblems(data, row)),
        ...all<{ digest: string; bytes: Uint8Array; size: number }>(
          'select digest, bytes, size from manifests',
        ).flatMap(manifestProblems),
        ...danglingRows(all),
      ],
      orphanUploads: filesBelow(join(data, 'uploads')).filter(
        (file) => !uploads.some((row) => row.id === file.split('.')[0]),
      ),
      orphanBlobs: filesBelow(join(data, blobsFolder)).filter(
        (path) => !blobs.some((row) => pathsOf(row).includes(path)),
      ),
    };
  } finally {
    database.close();
  }
}

/** The ids of all upload sessions. */
export function openSessions(data: string): string[] {
  const database = new DatabaseSync(join(data, 'berth.db'), { readOnly: true });
  try {
    return database
      .prepare('select id from uploads')
      .all()
      .map((row) => String(row.id));
  } finally {
    database.close();
  }
}

/** The paths of a row's bytes, whether stored or about to be deleted. */
function pathsOf({ digest, generation, state }: BlobRow): string[] {
  const generations = state === 'stored' ? [generation] : [generation - 1];
  return generations.map((number) => pathOf(digest, number));
}

/** A blob's file, below the folder of all blobs. */
export function pathOf(digest: string, generation = 0): string {
  const [algorithm, hex] = digest.split(':') as [string, string];
  return `${algorithm}/${hex.slice(0, 2)}/${hex}/data${generation === 0 ? '' : `.${generation}`}`;
}

/** A blob's file, from the root. */
export function blobFile(data: string, digest: string, generation = 0): string {
  return join(data, blobsFolder, pathOf(digest, generation));
}

export function digestOf(bytes: Uint8Array, algorithm = 'sha256'): string {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`;
}

export function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)));
}

function blobProblems(data: string, { digest, size, generation, state }: BlobRow): string[] {
  if (state !== 'stored') return [];
  const path = blobFile(data, digest, generation);
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) return [`blob ${digest}: no file`];
  if (found.size !== size) return [`blob ${digest}: ${found.size} bytes, the row says ${size}`];
  const actual = digestOf(readFileSync(path), digest.split(':')[0]);
  return actual === digest ? [] : [`blob ${digest}: the file hashes to ${actual}`];
}

function uploadProblems(data: string, { id, size, digest, staged }: UploadRow) {
  if (size === 0) return [];
  // A request that took over an upload has its own file.
  const path = join(data, 'uploads', staged === '' ? id : `${id}.${staged}`);
  // A commit that failed half-way has moved the bytes; the session's next request detects this.
  if (!existsSync(path)) return [];
  const bytes = readFileSync(path).subarray(0, size);
  const algorithm = digest.split(':')[0];
  return bytes.length === size && digestOf(bytes, algorithm) === digest
    ? []
    : [`upload ${id}: the first ${size} staged bytes are not ${digest}`];
}

function manifestProblems(row: { digest: string; bytes: Uint8Array; size: number }): string[] {
  const actual = digestOf(row.bytes, row.digest.split(':')[0]);
  if (actual !== row.digest) return [`manifest ${row.digest}: its bytes hash to ${actual}`];
  return row.bytes.length === row.size ? [] : [`manifest ${row.digest}: ${row.bytes.length} bytes`];
}

const repositoriesByNamespace = `
  select id, substr(name, 1, max(instr(name, '/') - 1, 0)) as namespace, name like '%@%' as in_trash
  from repositories`;

function danglingRows(all: <T>(query: string) => T[]): string[] {
  const checks = {
    'held, but not stored': `
      select digest from repository_blobs join blobs using (digest) where state <> 'stored'`,
    'needed by a manifest, but not held by its repository': `
      select r.digest from manifest_references r join manifests m on m.id = r.manifest_id
      where r.kind = 'blob' and not exists (
        select 1 from repository_blobs b where b.repository_id = m.repository_id and b.digest = r.digest)`,
    'referenced under the id of another repository': `
      select r.digest from manifest_references r join manifests m on m.id = r.manifest_id
      where r.repository_id <> m.repository_id`,
    'needed by no manifest of its repository, but not queued for garbage collection': `
      select digest from repository_blobs b where review_at is null and not exists (
        select 1 from manifest_references r join manifests m on m.id = r.manifest_id
        where m.repository_id = b.repository_id and r.digest = b.digest)`,
    'held by no repository, but not queued for garbage collection': `
      select digest from blobs where state = 'stored' and unheld_at is null and not exists (
        select 1 from repository_blobs b where b.digest = blobs.digest)`,
    'counted wrong for its repository': `
      select coalesce(name, 'a deleted repository') as digest
      from (select id from repositories union select repository_id from repository_usage) as counted
      left join repositories using (id) left join repository_usage u on u.repository_id = counted.id
      where (coalesce(u.blobs, 0), coalesce(u.bytes, 0)) <> (
        select count(*), coalesce(sum(size), 0) from repository_blobs join blobs using (digest) where repository_id = counted.id
      ) or coalesce(u.tags, 0) <> (select count(*) from tags where tags.repository_id = counted.id)`,
    'counted wrong for its namespace': `
      with named as (${repositoriesByNamespace})
      select counted.namespace as digest
      from (select namespace from named union select namespace from namespace_usage) as counted
      left join namespace_usage u on u.namespace = counted.namespace
      where (coalesce(u.blobs, 0), coalesce(u.bytes, 0)) <> (
        select count(*), coalesce(sum(size), 0) from blobs where digest in (
          select digest from repository_blobs join named on named.id = repository_id
          where named.namespace = counted.namespace)
      ) or coalesce(u.repositories, 0) <> (
        select count(*) from named where named.namespace = counted.namespace and not in_trash
      ) or coalesce(u.tags, 0) <> (
        select count(*) from tags join named on named.id = repository_id
        where named.namespace = counted.namespace and not in_trash)`,
    'linked to its namespace a wrong number of times': `
      with named as (${repositoriesByNamespace}), counted as (
        select namespace, digest, count(*) as links
        from repository_blobs join named on named.id = repository_id group by 1, 2)
      select digest from counted full join namespace_blobs kept using (namespace, digest)
      where counted.links is not kept.links`,
    'in the trash of another namespace than its repository': `
      with named as (${repositoriesByNamespace})
      select repositories.name as digest from repositories
      join named as hidden on hidden.id = repositories.id join named on named.id = repositories.trash_of
      where hidden.namespace <> named.namespace`,
    'tagged in another repository': `
      select m.digest from tags t join manifests m on m.id = t.manifest_id
      where m.repository_id <> t.repository_id`,
  };
  return Object.entries(checks).flatMap(([problem, query]) =>
    all<{ digest: string }>(query).map(({ digest }) => `${digest}: ${problem}`),
  );
}
