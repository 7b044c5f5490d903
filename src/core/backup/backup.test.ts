import assert from 'node:assert/strict';
import {
  appendFile,
  mkdir,
  readdir,
  readFile,
  rename,
  stat,
  unlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { describe, type TestContext, test } from 'node:test';
import { contentOf } from '../../../test/migrate/content.ts';
import { fillDatabase } from '../../../test/migrate/large.ts';
import {
  dialects,
  type InspectedDatabase,
  makeOrganisation,
  makeUser,
} from '../../../test/support/databases.ts';
import { openMemoryStore } from '../../../test/support/memory-store.ts';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import { listAuditEntries } from '../../db/audit-events.ts';
import { recordChange, system } from '../../db/changes.ts';
import type { Database } from '../../db/database.ts';
import { findProperty, refuseUnfinishedCopy, setProperty } from '../../db/properties.ts';
import { findOrCreateRepository } from '../../db/repositories.ts';
import { insertUpload } from '../../db/uploads.ts';
import { asDigest } from '../../oci/digest.ts';
import { parseName } from '../../oci/name.ts';
import { type BackupStore, backupName, contentsFile } from '../../storage/backup-store.ts';
import { blobKey } from '../../storage/blob-store.ts';
import { filesystemBackups } from '../../storage/filesystem-backups.ts';
import { digestBytes } from '../running-hash.ts';
import { type BackedUp, type BackUpParts, backUp } from './back-up.ts';
import { type BackupContents, newestBackup, readContents } from './contents.ts';
import { requireRestorable, restore } from './restore.ts';
import { verifyBlobs, verifyRows } from './verify-backup.ts';

const [sqlite] = dialects;
const { signal } = new AbortController();
const observer = { async begin() {}, done() {}, problem() {} };
const registry = 'b1946ac9-2f4a-4d0e-9d5c-3f7c2f0e8a11';

/** Enough rows for several queries a table. */
const large = { manifests: 300, tags: 700 };
const small = { manifests: 20, tags: 30 };

async function filled(t: TestContext, dialect = sqlite!, size = small): Promise<InspectedDatabase> {
  const world = await dialect.openInspected(t);
  const { database } = world;
  await fillDatabase(database, size);
  await makeUser(database, 'alice');
  await makeOrganisation(database, 'acme');
  await database.transaction(async (db) => {
    await setProperty(db, 'registry', registry);
    await setProperty(db, 'epoch', '7');
    await recordChange(db, system, { kind: 'user.create' }, 1);
  });
  return world;
}

async function place(t: TestContext): Promise<{ folder: string; backups: BackupStore }> {
  const folder = await temporaryDirectory(t);
  return { folder, backups: filesystemBackups(folder) };
}

function make(
  { inspection }: InspectedDatabase,
  backups: BackupStore,
  parts: Partial<BackUpParts> = {},
): Promise<BackedUp> {
  const database = inspection;
  return backUp({
    database,
    backups,
    blobs: undefined,
    keep: undefined,
    version: '1.2.3',
    signal,
    observer,
    ...parts,
  });
}

async function verify(backups: BackupStore, name: string): Promise<void> {
  const read = (file: string) => backups.read(name, file);
  await verifyRows({ contents: await readContents(backups, name), read, signal, verified() {} });
}

async function restoreInto(
  database: Database,
  backups: BackupStore,
  change: (contents: BackupContents) => BackupContents = (contents) => contents,
): Promise<void> {
  const contents = change(await readContents(backups, await newestBackup(backups)));
  await restore({
    database,
    place: 'the database',
    backups,
    contents,
    blobs: undefined,
    by: system,
    signal,
    observer,
  });
}

for (const from of dialects) {
  for (const to of dialects) {
    describe(`from ${from.name} to ${to.name}`, () => {
      test('a restored backup has the same rows, the same identity, and reuses no id', async (t) => {
        const source = await filled(t, from, large);
        const { backups } = await place(t);
        const gone = await source.database.transaction((db) =>
          findOrCreateRepository(db, parseName('gone'), 1),
        );
        await source.database.transaction((db) =>
          db.deleteFrom('repositories').where('id', '=', gone).execute(),
        );
        const { name, rows } = await make(source, backups);
        await verify(backups, name);

        const target = await to.open(t);
        await restoreInto(target, backups);
        assert.deepEqual(await contentOf(target), await contentOf(source.database));
        assert.ok(rows > 1_900, `${rows} rows`);
        const properties = ['registry', 'epoch', 'restored', 'restoring', 'read-only'] as const;
        const found = [];
        for (const property of properties) found.push(await findProperty(target.read, property));
        assert.deepEqual(found, [registry, '7', name, undefined, undefined]);
        const next = await target.transaction((db) => findOrCreateRepository(db, parseName('next'), 1));
        assert.ok(next > gone, `${next} > ${gone}`);
        const [restored] = await listAuditEntries(target.read, { action: 'registry.restore' }, undefined, 1);
        assert.deepEqual(restored?.detail, JSON.stringify({ backup: name }));
      });
    });
  }
}

for (const dialect of dialects) {
  test(`${dialect.name}: a backup has the rows of one state, while clients push`, async (t) => {
    const source = await filled(t, dialect);
    const { backups } = await place(t);
    const before = await contentOf(source.database);
    let pushes = 0;
    // Between two tables: a manifest without its repository and its blob would be the result without a snapshot.
    const begin: BackupStore['begin'] = async (name) => {
      const draft = await backups.begin(name);
      return {
        ...draft,
        async write(file, bytes) {
          await draft.write(file, bytes);
          if (file.startsWith('blobs-')) await pushOnce(source.database, ++pushes);
        },
      };
    };
    await make(source, { ...backups, begin });
    assert.equal(pushes, 1);
    const target = await dialect.open(t);
    await restoreInto(target, backups);
    assert.deepEqual(await contentOf(target), before);
  });

  test(`${dialect.name}: an interrupted restore is continued with the same backup only, and not served meanwhile`, async (t) => {
    const source = await filled(t, dialect);
    const { folder, backups } = await place(t);
    await make(source, backups);
    const target = await dialect.open(t);
    let reads = 0;
    const read: BackupStore['read'] = async (name, file) => {
      if (!file.startsWith('tags')) return backups.read(name, file);
      reads += 1;
      throw new Error('the disk was unplugged');
    };
    await assert.rejects(restoreInto(target, { ...backups, read }), /unplugged/);
    assert.equal(reads, 1);
    await assert.rejects(refuseUnfinishedCopy(target.read), /unfinished restore: run `berth restore`/);
    const other = (contents: BackupContents) => ({ ...contents, id: 'another' });
    await assert.rejects(restoreInto(target, backups, other), /unfinished restore of another backup/);
    assert.ok((await readdir(folder)).length > 0);
    await restoreInto(target, backups);
    assert.deepEqual(await contentOf(target), await contentOf(source.database));
    await refuseUnfinishedCopy(target.read);
  });
}

async function pushOnce(database: Database, number: number): Promise<void> {
  const digest = `sha256:${String(number).padStart(64, 'f')}`;
  await database.transaction(async (db) => {
    const repository = await findOrCreateRepository(db, parseName(`pushed/${number}`), 5);
    const blob = { digest, size: 1, generation: 0, state: 'stored', created_at: 5, review_at: 5 } as const;
    await db.insertInto('blobs').values(blob).execute();
    await db
      .insertInto('repository_blobs')
      .values({ repository_id: repository, digest, created_at: 5 })
      .execute();
    const manifest = await db
      .selectFrom('manifests')
      .selectAll()
      .where('id', '=', 7)
      .executeTakeFirstOrThrow();
    const { id: _, ...values } = { ...manifest, repository_id: repository };
    await db.insertInto('manifests').values(values).execute();
  });
}

test('leaves out uploads, sessions, leases and the read-only state', async (t) => {
  const source = await filled(t);
  const { folder, backups } = await place(t);
  const digest = asDigest(`sha256:${'0'.repeat(64)}`)!;
  const upload = { id: 'one', repository: 1, algorithm: 'sha256' as const, digest, owner: '' };
  await source.database.transaction(async (db) => {
    await insertUpload(db, upload, 1);
    await setProperty(db, 'read-only', 'maintenance');
  });
  const { name } = await make(source, backups);
  const files = await readdir(join(folder, name));
  assert.deepEqual(
    files.filter((file) => /^(uploads|sessions|leases|properties|pull_counts)/.test(file)),
    [],
  );
  const target = await sqlite!.open(t);
  await restoreInto(target, backups);
  assert.equal(await findProperty(target.read, 'read-only'), undefined);
});

test('only the owner can read the files, which contain signing keys', async (t) => {
  const source = await filled(t);
  const { folder, backups } = await place(t);
  const { name } = await make(source, backups);
  const modes = new Set<number>();
  for (const file of await readdir(join(folder, name)))
    modes.add((await stat(join(folder, name, file))).mode & 0o777);
  assert.deepEqual([...modes], [0o600]);
  assert.equal((await stat(join(folder, name))).mode & 0o777, 0o700);
});

const damages: Record<string, [(file: string) => Promise<void>, RegExp]> = {
  'with a changed byte': [
    async (file) => {
      const bytes = await readFile(file);
      bytes[bytes.length - 20]! ^= 1;
      await writeFile(file, bytes);
    },
    /tags-000001\.ndjson\.gz is damaged/,
  ],
  'that is longer': [(file) => appendFile(file, 'x'), /tags-000001\.ndjson\.gz is damaged/],
  'that is missing': [unlink, /tags-000001\.ndjson\.gz is missing/],
};
for (const [what, [damage, says]] of Object.entries(damages)) {
  test(`verify names a file ${what}`, async (t) => {
    const source = await filled(t);
    const { folder, backups } = await place(t);
    const { name } = await make(source, backups);
    await damage(join(folder, name, 'tags-000001.ndjson.gz'));
    await assert.rejects(verify(backups, name), says);
  });
}

test('verify names a table with other numbers of rows than backup.json', async (t) => {
  const source = await filled(t);
  const { folder, backups } = await place(t);
  const { name } = await make(source, backups);
  const file = join(folder, name, contentsFile);
  const contents = JSON.parse(await readFile(file, 'utf8'));
  const tags = contents.tables.find(({ table }: { table: string }) => table === 'tags');
  tags.rows += 1;
  await writeFile(file, JSON.stringify(contents));
  await assert.rejects(verify(backups, name), /table tags has 30 rows, and backup.json says 31/);
  tags.files[0].rows += 1;
  await writeFile(file, JSON.stringify(contents));
  await assert.rejects(verify(backups, name), /tags-000001\.ndjson\.gz has 30 rows, and backup.json says 31/);
  await writeFile(file, '{"format":1');
  await assert.rejects(verify(backups, name), /backup.json of .* is damaged/);
  await writeFile(file, JSON.stringify({ ...contents, format: 2 }));
  await assert.rejects(verify(backups, name), /has format 2, written by Berth 1\.2\.3/);
});

test('bytes that the place did not keep end the backup, and leave nothing', async (t) => {
  const source = await filled(t);
  const { folder, backups } = await place(t);
  const begin: BackupStore['begin'] = async (name) => {
    const draft = await backups.begin(name);
    return { ...draft, write: (file, bytes) => draft.write(file, bytes.subarray(0, bytes.length - 1)) };
  };
  await assert.rejects(make(source, { ...backups, begin }), /is damaged/);
  assert.deepEqual(await readdir(folder), []);
});

test('a full disk ends the backup, leaves nothing, and deletes no older backup', async (t) => {
  const source = await filled(t);
  const { folder, backups } = await place(t);
  const { name: older } = await make(source, backups);
  const begin: BackupStore['begin'] = async (name) => {
    const draft = await backups.begin(name);
    const full = async () => Promise.reject(Object.assign(new Error('full'), { code: 'ENOSPC' }));
    return {
      ...draft,
      write: (file, bytes) => (file.startsWith('tags') ? full() : draft.write(file, bytes)),
    };
  };
  await assert.rejects(make(source, { ...backups, begin }, { keep: 1 }), { code: 'ENOSPC' });
  assert.deepEqual(await readdir(folder), [older]);
});

test('keeps the newest backups of the registry, and deletes nothing else', async (t) => {
  const source = await filled(t);
  const { folder, backups } = await place(t);
  const minute = 60_000;
  const now = Date.UTC(2026, 0, 31, 3);
  const at = (time: number) => ({ database: { ...source.inspection, clock: () => time } });
  const others = ['notes.txt', 'berth-backup-old', 'berth-backup-2020-01-01T00-00-00Z', 'blobs'];
  for (const other of others) await mkdir(join(folder, other));
  await setRegistry(source.database, 'another');
  const foreign = await make(source, backups, at(now - 90 * minute));
  await setRegistry(source.database, registry);
  const running = `${backupName(now - 10 * minute)}.partial`;
  const killed = `${backupName(now - 25 * 60 * minute)}.partial`;
  for (const unfinished of [running, killed]) await mkdir(join(folder, unfinished));
  for (const minutes of [50, 40, 30]) await make(source, backups, at(now - minutes * minute));
  const { pruned, name } = await make(source, backups, { ...at(now), keep: 2 });
  assert.deepEqual(pruned, [backupName(now - 50 * minute), backupName(now - 40 * minute)]);
  const left = [...others, foreign.name, running, backupName(now - 30 * minute), name];
  assert.deepEqual((await readdir(folder)).sort(), left.sort());
});

async function setRegistry(database: Database, id: string): Promise<void> {
  await database.transaction((db) => setProperty(db, 'registry', id));
}

test('never deletes the backup that it has just written, even with a clock that went back', async (t) => {
  const source = await filled(t);
  const { backups } = await place(t);
  const at = (time: number) => ({ database: { ...source.inspection, clock: () => time } });
  await make(source, backups, at(2_000_000_000_000));
  const { name } = await make(source, backups, { ...at(1_900_000_000_000), keep: 1 });
  assert.deepEqual(await backups.list(), [{ name, isComplete: true }]);
});

test('chooses no newest backup among those of several registries', async (t) => {
  const source = await filled(t);
  const { backups } = await place(t);
  await make(source, backups);
  const { name } = await make(source, backups);
  assert.equal(await newestBackup(backups), name);
  await setRegistry(source.database, 'another');
  await make(source, backups);
  await assert.rejects(newestBackup(backups), /has backups of several registries; choose one with --name/);
});

test('a failed deletion of an older backup leaves the new one complete', async (t) => {
  const source = await filled(t);
  const { backups } = await place(t);
  await make(source, backups);
  let discarded = 0;
  const begin: BackupStore['begin'] = async (name) => {
    const discard = async (): Promise<void> => {
      discarded += 1;
    };
    return { ...(await backups.begin(name)), discard };
  };
  const remove = async () => Promise.reject(new Error('access denied'));
  await assert.rejects(make(source, { ...backups, begin, delete: remove }, { keep: 1 }), /access denied/);
  assert.equal(discarded, 0);
  assert.deepEqual(
    (await backups.list()).map(({ isComplete }) => isComplete),
    [true, true],
  );
});

test('two backups in one second get different names', async (t) => {
  const source = await filled(t);
  const { backups } = await place(t);
  const at = { database: { ...source.inspection, clock: () => 1_900_000_000_000 } };
  const names = [(await make(source, backups, at)).name, (await make(source, backups, at)).name];
  assert.deepEqual(names, [backupName(1_900_000_000_000), backupName(1_900_000_001_000)]);
});

test('a blob that is missing in the store is reported, and then no older backup is deleted', async (t) => {
  const source = await filled(t);
  const { backups } = await place(t);
  const { name: older } = await make(source, backups);
  const problems: string[] = [];
  const blobs = { source: openMemoryStore(), target: openMemoryStore() };
  const done = await make(source, backups, {
    ...{ blobs, keep: 1 },
    observer: { ...observer, problem: (text) => void problems.push(text) },
  });
  assert.deepEqual([done.problems, done.pruned], [20, []]);
  assert.equal(problems.length, 20);
  assert.match(problems[0]!, /^blob sha256:.* is missing: docker/);
  assert.deepEqual(
    (await backups.list()).map(({ name }) => name),
    [older, done.name].sort(),
  );
});

test('refuses to copy blobs into the blob store of a registry', async (t) => {
  const source = await filled(t);
  const { folder, backups } = await place(t);
  const target = openMemoryStore();
  await target.writeMarker('{}');
  await assert.rejects(
    make(source, backups, { blobs: { source: openMemoryStore(), target } }),
    /is the blob store of a registry/,
  );
  assert.deepEqual(await readdir(folder), []);
});

test('copies a blob that was pushed between the copying of all others and the reading of the rows', async (t) => {
  const source = await sqlite!.openInspected(t);
  const { backups } = await place(t);
  const blobs = { source: openMemoryStore(), target: openMemoryStore() };
  const pushed = digestBytes('sha256', Buffer.from('pushed'));
  const push = async (): Promise<void> => {
    const upload = { id: 'one', size: 0, staged: '' };
    const staged = await blobs.source.append(upload, Readable.from([Buffer.from('pushed')]), { tap() {} });
    await blobs.source.commit({ ...upload, ...staged }, blobKey(pushed, 0));
    const row = { digest: pushed, size: 6, generation: 0, state: 'stored', created_at: Date.now() } as const;
    await source.database.transaction((db) =>
      db
        .insertInto('blobs')
        .values({ ...row, review_at: row.created_at })
        .execute(),
    );
  };
  const begin: BackupStore['begin'] = async (name) => {
    await push();
    return backups.begin(name);
  };
  const done = await make(source, { ...backups, begin }, { blobs });
  assert.deepEqual([done.blobs, done.problems], [{ copied: 1, bytes: 6 }, 0]);
  const contents = await readContents(backups, done.name);
  assert.deepEqual(contents.blobs, { count: 1, bytes: 6, isCopied: true });
  const read = (file: string) => backups.read(done.name, file);
  const problems: string[] = [];
  const report = (text: string) => void problems.push(text);
  assert.equal(await verifyBlobs({ contents, read, signal }, blobs.target, report), 0);
  assert.equal(await verifyBlobs({ contents, read, signal }, openMemoryStore(), report), 1);
  assert.deepEqual(problems, [`the copy of blob ${pushed} is missing`]);
});

test('deletes unfinished copies of blobs that are a day old', async (t) => {
  const source = await filled(t);
  const { folder, backups } = await place(t);
  const target = await backups.openBlobs({ inspectOnly: false });
  for (const file of ['old', 'new']) await writeFile(join(folder, 'blobs', 'uploads', file), 'bytes');
  const past = Date.now() / 1000 - 25 * 3600;
  await utimes(join(folder, 'blobs', 'uploads', 'old'), past, past);
  await make(source, backups, { blobs: { source: openMemoryStore(), target } });
  assert.deepEqual(await readdir(join(folder, 'blobs', 'uploads')), ['new']);
});

test('restores only into an empty database', async (t) => {
  const source = await filled(t);
  const { backups } = await place(t);
  await make(source, backups);
  const target = await sqlite!.open(t);
  await makeUser(target, 'bob');
  const before = await contentOf(target);
  await assert.rejects(restoreInto(target, backups), /the database is not empty: stop Berth and move/);
  assert.deepEqual(await contentOf(target), before);
  assert.equal(await findProperty(target.read, 'restoring'), undefined);
});

test('refuses a backup with another schema, and a store of another registry', async (t) => {
  const source = await filled(t);
  const { backups } = await place(t);
  const { name } = await make(source, backups);
  const contents = await readContents(backups, name);
  const store = openMemoryStore();
  await requireRestorable(contents, store, 'the store');
  await assert.rejects(
    requireRestorable({ ...contents, schema: '0001-registry' }, store, 'the store'),
    /written by Berth 1\.2\.3 with the schema 0001-registry.*restore it with that version/,
  );
  await store.writeMarker(JSON.stringify({ registry, epoch: 9 }));
  await requireRestorable(contents, store, 'the store');
  await store.writeMarker(JSON.stringify({ registry: 'other', epoch: 9 }));
  await assert.rejects(requireRestorable(contents, store, 'the store'), /belongs to another registry, other/);
});

test('an unfinished backup is neither listed as complete nor chosen', async (t) => {
  const source = await filled(t);
  const { folder, backups } = await place(t);
  await assert.rejects(newestBackup(backups), /has no complete backup/);
  const { name } = await make(source, backups);
  const newer = await make(source, backups, { database: { ...source.inspection, clock: () => 4e12 } });
  await rename(join(folder, newer.name), join(folder, `${newer.name}.partial`));
  assert.equal(await newestBackup(backups), name);
});

test('refuses a database that is an unfinished copy', async (t) => {
  const source = await filled(t);
  const { backups } = await place(t);
  await source.database.transaction((db) => setProperty(db, 'migrating', registry));
  await assert.rejects(make(source, backups), /unfinished copy/);
});
