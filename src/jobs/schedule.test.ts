import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loginEvent } from '../../test/support/audit-event.ts';
import { dialects, digestNumber, makeRepository } from '../../test/support/databases.ts';
import { openMemoryStore } from '../../test/support/memory-store.ts';
import { configSchema } from '../config/schema.ts';
import type { BackedUp } from '../core/backup/back-up.ts';
import { insertAuditEvents, listAuditEntries } from '../db/audit-events.ts';
import { recordChange, system } from '../db/changes.ts';
import type { Database } from '../db/database.ts';
import { setProperty } from '../db/properties.ts';
import { insertAlias, listAliases } from '../db/repository-aliases.ts';
import { parseName } from '../oci/name.ts';
import { parseTag } from '../oci/reference.ts';
import { scheduleOf } from './schedule.ts';

const silentScrub = { read() {}, blobChecked() {}, found() {}, healed() {} };

for (const { name, open } of dialects) {
  test(`${name}: the job audit deletes what is older than audit.keepFor, but moves of tags after history.keepFor`, async (t) => {
    const database = await open(t);
    const config = configSchema.parse({ audit: { keepFor: '1h' }, history: { keepFor: '2h' } });
    const now = 10 * config.audit.keepFor;
    const times = [now - config.audit.keepFor - 1, now - config.audit.keepFor, now];
    await database.transaction(async (db) => {
      await insertAuditEvents(
        db,
        times.map((at) => ({ ...loginEvent, at })),
      );
      for (const at of times) await recordChange(db, system, { kind: 'blob.push' }, at);
      for (const age of [2 * config.audit.keepFor + 1, 2 * config.audit.keepFor]) {
        const move = { kind: 'manifest.push', repositoryId: 1, tag: parseTag(`age-${age}`) };
        await recordChange(db, system, { ...move, newDigest: digestNumber(1) }, now - age);
      }
      await recordChange(db, system, { kind: 'blob.push' }, now);
    });
    const done: unknown[] = [];
    const schedule = scheduleOf({
      ...{ config, database, unguarded: database, clock: () => now },
      store: openMemoryStore(),
      epoch: { advance: async () => 0 },
      removeExpiredSessions: async () => 0,
      removeEndedSigningKeys: async () => [],
      observer: {
        collected() {},
        refused() {},
        foundBlobs() {},
        scrub: silentScrub,
        done: (_what, fields) => done.push(fields),
      },
    });
    await schedule.find((job) => job.name === 'audit')!.run(AbortSignal.timeout(60_000));
    assert.deepEqual(done, [{ events: 1, changes: 2, pullDays: 0 }]);
    const [move, ...left] = await listAuditEntries(database.read, {}, undefined, 10);
    assert.equal(move?.tag, 'age-7200000');
    assert.deepEqual(
      left.map(({ source, at }) => [source, at]).sort(),
      [
        ...times.slice(1).flatMap((at) => [['change', at] as const, ['event', at] as const]),
        ['change', now],
      ].sort(),
    );
  });
}

test('the job aliases deletes expired aliases of repositories', async (t) => {
  const database = await dialects[0]!.open(t);
  const repository = await makeRepository(database);
  for (const [alias, expiresAt] of [
    ['a/expired', 1],
    ['a/alias', Date.now() + 60_000],
  ] as const) {
    const row = { name: parseName(alias), repository, expiresAt };
    await database.transaction((db) => insertAlias(db, row, 1));
  }
  const done: unknown[] = [];
  const schedule = scheduleWith(database, async () => backedUp, done);
  await schedule.find(({ name }) => name === 'aliases')!.run(AbortSignal.timeout(60_000));
  assert.deepEqual(done, [{ removed: 1 }]);
  const left = await listAliases(database.read, '', 10, 0);
  assert.deepEqual(
    left.map(({ name }) => name),
    ['a/alias'],
  );
});

/** The schedule of a registry whose backups have these results. */
function scheduleWith(
  database: Database,
  backUp: () => Promise<BackedUp>,
  done: unknown[] = [],
  refused: (reason: string) => unknown = () => {},
) {
  return scheduleOf({
    ...{ config: configSchema.parse({ backup: { every: '6h' } }), database, unguarded: database, backUp },
    clock: Date.now,
    store: openMemoryStore(),
    epoch: { advance: async () => 0 },
    removeExpiredSessions: async () => 0,
    removeEndedSigningKeys: async () => [],
    observer: {
      collected() {},
      refused,
      foundBlobs() {},
      scrub: silentScrub,
      done: (_what, fields) => done.push(fields),
    },
  });
}

const fields = { rows: 1, bytes: 2, problems: 0, pruned: [] };
const backedUp: BackedUp = { name: 'berth-backup-x', ...fields };

test('the job backup runs every backup.every, even while the registry is read-only, and logs its result', async (t) => {
  const database = await dialects[0]!.open(t);
  await database.transaction((db) => setProperty(db, 'read-only', 'maintenance'));
  const done: unknown[] = [];
  const job = scheduleWith(database, async () => backedUp, done).find(({ name }) => name === 'backup')!;
  assert.equal(job.every, 6 * 3_600_000);
  await job.run(AbortSignal.timeout(60_000));
  assert.deepEqual(done, [{ backup: 'berth-backup-x', ...fields }]);
});

test('a backup without all blobs is logged, and counts as failed', async (t) => {
  const database = await dialects[0]!.open(t);
  const done: unknown[] = [];
  const incomplete = { ...backedUp, problems: 2 };
  const job = scheduleWith(database, async () => incomplete, done).find(({ name }) => name === 'backup')!;
  await assert.rejects(job.run(AbortSignal.timeout(60_000)), /2 blobs could not be copied/);
  assert.deepEqual(done, [{ backup: 'berth-backup-x', ...fields, problems: 2 }]);
});

test('the job gc counts a refusal, and does not fail while it is paused', async (t) => {
  const database = await dialects[0]!.open(t);
  const refused: string[] = [];
  const done: unknown[] = [];
  const [gc] = scheduleWith(
    database,
    async () => backedUp,
    done,
    (reason) => refused.push(reason),
  ).filter(({ name }) => name === 'gc');
  await database.transaction((db) => setProperty(db, 'gc-paused', 'maintenance'));
  await gc!.run(AbortSignal.timeout(60_000));
  assert.deepEqual(refused, ['paused']);
  assert.deepEqual(done, [{ refused: 'garbage collection is paused: maintenance' }]);
});
