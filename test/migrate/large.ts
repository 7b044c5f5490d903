import { createHash } from 'node:crypto';
import { queriesOf } from '../../src/db/copy/queries.ts';
import { type Row, tables } from '../../src/db/copy/tables.ts';
import type { Database } from '../../src/db/database.ts';
import { raiseIds } from '../../src/db/dialect.ts';

/**
 * Inserts rows of a registry with this many manifests of one blob each, and tags of them, but without the blobs' bytes. Much faster
 * than pushes.
 */
export async function fillDatabase(
  database: Database,
  { manifests, tags }: { manifests: number; tags: number },
): Promise<void> {
  const repositories = Math.ceil(manifests / 100);
  const inRepository = (id: number): number => 1 + (id % repositories);
  await insert(database, 'repositories', repositories, (id) => ({
    id,
    name: `large/r${id}`,
    created_at: id,
    visibility: 'private',
  }));
  await insert(database, 'blobs', manifests, (id) => ({
    digest: digestOf(`blob ${id}`),
    size: 1_000_000 + id,
    generation: 0,
    state: 'stored',
    created_at: id,
    review_at: id,
  }));
  await insert(database, 'repository_blobs', manifests, (id) => ({
    repository_id: inRepository(id),
    digest: digestOf(`blob ${id}`),
    created_at: id,
  }));
  await insert(database, 'manifests', manifests, (id) => {
    const bytes = manifestOf(id);
    return {
      id,
      repository_id: inRepository(id),
      digest: digestOf(bytes),
      media_type: 'application/vnd.oci.image.manifest.v1+json',
      bytes: `\\x${Buffer.from(bytes).toString('hex')}`,
      size: bytes.length,
      subject_digest: null,
      artifact_type: 'application/vnd.oci.image.config.v1+json',
      annotations: null,
      annotations_size: 0,
      rank: 2,
      created_at: id,
    };
  });
  await insert(database, 'manifest_references', manifests, (id) => ({
    manifest_id: id,
    digest: digestOf(`blob ${id}`),
    kind: 'blob',
    repository_id: inRepository(id),
  }));
  await insert(database, 'tags', tags, (number) => {
    const manifest_id = 1 + (number % manifests);
    return { repository_id: inRepository(manifest_id), name: `v${number}`, manifest_id, updated_at: number };
  });
  await insert(database, 'tag_rules', repositories, (id) => ({
    id,
    account_id: null,
    repository_id: id,
    rule: 'semver except v*',
    created_at: id,
  }));
  await insert(database, 'manifest_pulls', manifests, (id) => ({ manifest_id: id, pulled_at: id, pulls: 1 }));
  await insert(database, 'pull_days', repositories, (id) => ({
    repository_id: id,
    day: 86_400_000,
    pulls: id,
  }));
  await insert(database, 'retention_policies', repositories, (id) => ({
    ...{ id, account_id: null, repository_id: id, policy: '{"rules":[]}', updated_at: id },
  }));
  for (const { name, identity } of tables) {
    if (identity) await database.transaction((db) => raiseIds(db, name, manifests));
  }
}

async function insert(
  database: Database,
  name: string,
  count: number,
  rowOf: (number: number) => Row,
): Promise<void> {
  const queries = queriesOf(tables.find((table) => table.name === name)!);
  for (let start = 1; start <= count; start += 2_000) {
    const length = Math.min(2_000, count + 1 - start);
    const rows = Array.from({ length }, (_, i) => rowOf(start + i));
    await database.transaction((db) => queries.insert(db, rows));
  }
}

function manifestOf(id: number): string {
  const descriptor = (mediaType: string) => ({
    mediaType,
    digest: digestOf(`blob ${id}`),
    size: 1_000_000 + id,
  });
  return JSON.stringify({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: descriptor('application/vnd.oci.image.config.v1+json'),
    layers: [],
  });
}

function digestOf(text: string): string {
  return `sha256:${createHash('sha256').update(text).digest('hex')}`;
}
