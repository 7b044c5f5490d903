import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loginEvent } from '../../test/support/audit-event.ts';
import { countQueries } from '../../test/support/count-queries.ts';
import {
  dialects,
  digestNumber,
  insertNewManifest,
  makeRepository,
  repositoryName,
} from '../../test/support/databases.ts';
import { actorOf, commandLineActor } from '../access/actor.ts';
import { claimantOf } from '../access/identity.ts';
import { parseTag, type Tag } from '../oci/reference.ts';
import { insertAuditEvents, listAuditEntries, listLatestAuditEntries } from './audit-events.ts';
import {
  type ChangePosition,
  deleteChanges,
  type NewChange,
  recordChange,
  recordTagChange,
  recordTagDeletions,
  system,
} from './changes.ts';
import type { Database } from './database.ts';

import { moveTag } from './tags.ts';

const tag = (text: string): Tag => parseTag(text);

async function list({ read }: Database, limit = 10_000) {
  return listAuditEntries(read, {}, undefined, limit);
}

/** Creates a repository with manifests of these numbers; returns their ids. */
async function makeManifests(database: Database, ...numbers: number[]) {
  const repository = await makeRepository(database);
  const ids = await database.transaction(async (db) => {
    const ids: number[] = [];
    for (const number of numbers) {
      const manifest = {
        ...{ repository, digest: digestNumber(number), mediaType: 'a/b', bytes: Buffer.from('{}') },
        ...{ subject: null, artifactType: null, annotations: null },
      };
      ids.push(await insertNewManifest(db, manifest, 1));
    }
    return ids;
  });
  return { repository, ids };
}

for (const { name, open } of dialects) {
  test(`${name}: a change is recorded with all its fields, as an entry of the audit log`, async (t) => {
    const database = await open(t);
    const by = {
      ...{ actor: 'user:7', actor_name: 'alice', credential: 'token:3' },
      ...{ address: '2001:db8::1', client: 'docker/28', request_id: 'r' },
    };
    const change: NewChange = {
      ...{ kind: 'blob.mount', repository: 'acme/app', repositoryId: 5, tag: tag('v1') },
      ...{ oldDigest: digestNumber(1), newDigest: digestNumber(2), detail: { from: 'a"b' } },
    };
    await database.transaction((db) => recordChange(db, by, change, 12));
    const [{ id, ...entry }] = (await list(database)) as [Awaited<ReturnType<typeof list>>[number]];
    assert.ok(id > 0);
    assert.deepEqual(entry, {
      ...{ source: 'change', at: 12, action: 'blob.mount', allowed: 1, ...by },
      ...{ repository: 'acme/app', tag: 'v1', digest: digestNumber(2), old_digest: digestNumber(1) },
      ...{ status: null, error: null, detail: '{"from":"a\\"b"}' },
    });
  });

  test(`${name}: a change that is rolled back leaves no row`, async (t) => {
    const database = await open(t);
    const rolledBack = database.transaction(async (db) => {
      await recordChange(db, system, { kind: 'user.create' }, 1);
      throw new Error('rolled back');
    });
    await assert.rejects(rolledBack, /rolled back/);
    assert.deepEqual(await list(database), []);
  });

  test(`${name}: the old digest of a tag is the one that it points to when the change is recorded`, async (t) => {
    const database = await open(t);
    const { repository: repositoryId, ids } = await makeManifests(database, 1, 2);
    for (const [i, id] of ids.entries()) {
      await database.transaction(async (db) => {
        const change = {
          kind: 'manifest.push',
          repositoryId,
          tag: tag('v1'),
          newDigest: digestNumber(i + 1),
        };
        await recordTagChange(db, system, change, i);
        await moveTag(db, repositoryId, tag('v1'), id, i);
      });
    }
    await database.transaction((db) =>
      recordTagChange(db, system, { kind: 'tag.delete', repositoryId, tag: tag('v1') }, 2),
    );
    assert.deepEqual(
      (await list(database)).map(({ action, digest, old_digest }) => [action, digest, old_digest]),
      [
        ['manifest.push', digestNumber(1), null],
        ['manifest.push', digestNumber(2), digestNumber(1)],
        // The deleted digest is the entry's digest, not its old digest.
        ['tag.delete', digestNumber(2), null],
      ],
    );
  });

  test(`${name}: the deletion of 5,000 tags with their manifest is recorded as a row for each, in few statements`, async (t) => {
    const database = await open(t);
    const { repository, ids } = await makeManifests(database, 1, 2);
    const tags = Array.from({ length: 5_000 }, (_, i) => tag(`v${i}`));
    await database.transaction(async (db) => {
      for (const one of tags) await moveTag(db, repository, one, ids[0] as number, 1);
      await moveTag(db, repository, tag('stays'), ids[1] as number, 1);
    });
    const change = { repository: repositoryName, repositoryId: repository, oldDigest: digestNumber(1) };
    const statements = await countQueries(() =>
      database.transaction((db) => recordTagDeletions(db, system, ids[0] as number, change, 7)),
    );
    assert.ok(statements <= 6, `${statements} statements`);
    const entries = await list(database);
    assert.deepEqual(new Set(entries.map((entry) => entry.tag)), new Set<string | null>(tags));
    assert.equal(entries.length, tags.length);
    for (const { action, at, repository, digest } of entries) {
      assert.deepEqual([action, at, repository, digest], ['tag.delete', 7, repositoryName, digestNumber(1)]);
    }
  });

  test(`${name}: a change is recorded whatever its name, address and user agent contain`, async (t) => {
    const database = await open(t);
    const hostile = `a\0b\ud800\u001b[2J\u009b${'x'.repeat(10_000)}`;
    const clean = /^a\ufffdb\ufffd\ufffd\[2J\ufffdx{400,600}$/;
    const request = { address: hostile, client: hostile, requestId: hostile };
    await database.transaction(async (db) => {
      await recordChange(db, actorOf(claimantOf('carol'), request), { kind: 'blob.push' }, 1);
      await recordChange(db, commandLineActor(hostile), { kind: 'blob.push' }, 2);
    });
    const [sent, typed] = await list(database);
    for (const text of [sent?.address, sent?.client, sent?.request_id, typed?.actor_name]) {
      assert.match(text as string, clean);
    }
  });

  test(`${name}: deletes old changes, oldest first, among as many rows as the limit`, async (t) => {
    const database = await open(t);
    await database.transaction(async (db) => {
      for (const at of [5, 1, 3, 2, 4]) await recordChange(db, system, { kind: 'blob.push' }, at);
    });
    let position: ChangePosition = { at: 0, id: 0 };
    const remove = async () => {
      const { deleted, next } = await database.transaction((db) =>
        deleteChanges(db, { others: 4, tagMoves: 4 }, position, 2),
      );
      if (next !== undefined) position = next;
      return [deleted, next?.at];
    };
    const left = async () => (await list(database)).map(({ at }) => at);
    assert.deepEqual(await remove(), [2, 2]);
    assert.deepEqual(await left(), [3, 4, 5]);
    assert.deepEqual(await remove(), [1, undefined]);
    assert.deepEqual(await left(), [4, 5]);
  });

  test(`${name}: keeps moves and deletions of tags longer than other changes`, async (t) => {
    const database = await open(t);
    const [a, b] = [digestNumber(1), digestNumber(2)];
    const changes: [at: number, Partial<NewChange>][] = [
      [1, { tag: tag('too-old'), newDigest: a }],
      [2, { tag: tag('created'), newDigest: a }],
      [2, { newDigest: a }],
      [2, { tag: tag('pushed-again'), oldDigest: a, newDigest: a }],
      [2, { tag: tag('moved'), oldDigest: a, newDigest: b }],
      [2, { tag: tag('deleted'), oldDigest: a }],
      [3, { newDigest: b }],
    ];
    await database.transaction(async (db) => {
      for (const [at, change] of changes) await recordChange(db, system, { kind: 'any', ...change }, at);
    });
    const { deleted, next } = await database.transaction((db) =>
      deleteChanges(db, { others: 3, tagMoves: 2 }, { at: 0, id: 0 }, 10),
    );
    assert.deepEqual([deleted, next], [3, undefined]);
    assert.deepEqual(
      (await list(database)).map((entry) => entry.tag),
      ['created', 'moved', 'deleted', null],
    );
  });

  test(`${name}: keeps the last change, so that its id is not used again`, async (t) => {
    const database = await open(t);
    const record = () => database.transaction((db) => recordChange(db, system, { kind: 'blob.push' }, 1));
    await record();
    await record();
    const { deleted } = await database.transaction((db) =>
      deleteChanges(db, { others: 2, tagMoves: 2 }, { at: 0, id: 0 }, 10),
    );
    assert.equal(deleted, 1);
    const [kept] = await list(database);
    await record();
    assert.deepEqual(
      (await list(database)).map(({ id }) => id),
      [kept!.id, kept!.id + 1],
    );
  });

  test(`${name}: pages over both tables contain every entry once, in the same order, also at equal times`, async (t) => {
    const database = await open(t);
    await makeEntries(database);
    const all = await list(database);
    assert.equal(all.length, 60);
    for (const limit of [1, 2, 7, 59, 60, 61]) {
      const found: typeof all = [];
      for (let page = await listAuditEntries(database.read, {}, undefined, limit); page.length > 0; ) {
        found.push(...page);
        page = await listAuditEntries(database.read, {}, page.at(-1), limit);
      }
      assert.deepEqual(found, all, `pages of ${limit}`);
      assert.deepEqual(await listLatestAuditEntries(database.read, {}, limit), all.slice(-limit));
    }
  });
}

/** Writes 30 events and 30 changes with the same ids, at only three different times. */
async function makeEntries(database: Database): Promise<void> {
  await database.transaction(async (db) => {
    for (let i = 0; i < 30; i++) {
      await insertAuditEvents(db, [{ ...loginEvent, at: 1 + (i % 3) }]);
      await recordChange(db, system, { kind: 'blob.push' }, 1 + ((i * 7) % 3));
    }
  });
}
