import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { countQueries } from '../../test/support/count-queries.ts';
import { dialects, repositoryName, type TestDialect } from '../../test/support/databases.ts';
import { Client, indexOf, ociIndex } from '../../test/support/inject.ts';
import { makeManifest } from '../../test/support/manifests.ts';
import { testRegistry } from '../../test/support/registry.ts';
import { system } from '../db/changes.ts';
import { type Database, DatabaseUnavailable } from '../db/database.ts';
import { findManifestByDigest } from '../db/manifests.ts';
import { deletePullDays } from '../db/pulls.ts';
import type { Digest } from '../oci/digest.ts';
import { parseReference } from '../oci/reference.ts';
import { Manifests } from './manifests.ts';
import { lastPulls, Pulls, type PullsParts } from './pulls.ts';
import { digestBytes } from './running-hash.ts';

const children = ['amd64', 'arm64'].map(makeManifest);
const indexBytes = Buffer.from(
  JSON.stringify({
    schemaVersion: 2,
    mediaType: ociIndex,
    manifests: children.map(({ digest, bytes, contentType: mediaType }) => ({
      ...{ mediaType, digest, size: bytes.length },
    })),
  }),
);
const index = { digest: digestBytes('sha256', indexBytes), bytes: indexBytes, contentType: ociIndex };
const day = 86_400_000;

/** A repository with an index and its two children; `time` is the database's clock. */
async function makeWorld(t: TestContext, { open }: TestDialect) {
  const opened = await open(t);
  const world = { time: 20 * day + 5, down: false };
  const database: Database = {
    ...opened,
    clock: () => world.time,
    async transaction(work, options) {
      if (world.down) throw new DatabaseUnavailable('down');
      return opened.transaction(work, options);
    },
  };
  const parts = { database, clock: () => 1, missingReferences: 'all', immutableTags: [] } as const;
  const manifests = new Manifests(parts);
  const rows: { id: number; media_type: string }[] = [];
  for (const { digest, bytes, contentType } of [...children, index]) {
    await manifests.put(repositoryName, parseReference(digest), {
      ...{ contentType, bytes, tags: [], conditions: {}, by: system },
      rights: { mayCreate: true, mayUpdate: true },
    });
    const row = await findManifestByDigest(database.read, repositoryName, digest);
    rows.push({ id: row!.id, media_type: contentType });
  }
  const [amd, arm, both] = rows as [(typeof rows)[0], (typeof rows)[0], (typeof rows)[0]];
  const events: unknown[] = [];
  const pullsOf = (more: Partial<PullsParts> = {}): Pulls => {
    const pulls = new Pulls({
      ...{ database, failed: (error) => events.push(error), lost: (count) => events.push(count), ...more },
    });
    t.after(() => pulls.close());
    return pulls;
  };
  const days = async () => {
    const rows = await database.read.selectFrom('pull_days').selectAll().orderBy('day').execute();
    return rows.map(({ day, pulls }) => ({ day, pulls }));
  };
  const deleted = (digest: Digest) => manifests.delete(repositoryName, { kind: 'digest', digest }, system);
  return { world, database, pullsOf, amd, arm, both, events, days, deleted };
}

for (const dialect of dialects) {
  test(`${dialect.name}: writes the last pull and the pulls a day, which count for an index too`, async (t) => {
    const { world, database, pullsOf, amd, arm, both, days } = await makeWorld(t, dialect);
    const [one, another] = [pullsOf(), pullsOf()];
    const queries = await countQueries(async () => {
      one.record(amd.id);
      one.record(amd.id);
      one.record(both.id);
    });
    assert.equal(queries, 0);
    await one.flush();
    const first = world.time;
    const last = () => lastPulls(database.read, [amd, arm, both]);
    assert.deepEqual(
      await last(),
      new Map([
        [amd.id, first],
        [both.id, first],
      ]),
    );

    world.time += day;
    another.record(arm.id);
    await another.flush();
    assert.deepEqual(
      await last(),
      new Map([
        [amd.id, first],
        [arm.id, first + day],
        [both.id, first + day],
      ]),
    );

    // A clock that was set back.
    world.time = first;
    another.record(arm.id);
    await another.flush();
    assert.equal((await last()).get(arm.id), first + day);
    assert.deepEqual(await days(), [
      { day: 20 * day, pulls: 4 },
      { day: 21 * day, pulls: 1 },
    ]);

    assert.equal(await database.transaction((db) => deletePullDays(db, 21 * day, 10)), 1);
    assert.deepEqual(await days(), [{ day: 21 * day, pulls: 1 }]);
  });

  test(`${dialect.name}: forgets the pulls of a deleted manifest, before and after they are written`, async (t) => {
    const { database, pullsOf, amd, arm, deleted } = await makeWorld(t, dialect);
    const pulls = pullsOf();
    pulls.record(amd.id);
    await pulls.flush();
    pulls.record(amd.id);
    pulls.record(arm.id);
    await deleted(children[0]!.digest);
    await pulls.flush();
    const rows = await database.read.selectFrom('manifest_pulls').select('manifest_id').execute();
    assert.deepEqual(
      rows.map(({ manifest_id }) => manifest_id),
      [arm.id],
    );
  });

  test(`${dialect.name}: keeps pulls of a bounded number of manifests while the database is down`, async (t) => {
    const { world, pullsOf, amd, arm, both, events, days } = await makeWorld(t, dialect);
    const pulls = pullsOf({ capacity: 2 });
    world.down = true;
    for (const { id } of [amd, arm, both, both, amd]) pulls.record(id);
    await pulls.flush();
    await pulls.flush();
    const [failure, ...others] = events;
    assert.ok(failure instanceof DatabaseUnavailable);
    assert.deepEqual(others, [2]);
    world.down = false;
    await pulls.close();
    assert.deepEqual(await days(), [{ day: 20 * day, pulls: 3 }]);
  });
}

test('counts a GET of a manifest, by tag or digest, and no HEAD and no 304', async (t) => {
  const database = await dialects[0]!.open(t);
  const left = { ...database, close: async () => {} };
  const { app } = await testRegistry(t, {}, async () => ({ database: left }));
  const registry = new Client(app.http);
  const image = await registry.pushImage('acme/app', 'v1');
  const list = indexOf([{ mediaType: image.mediaType, digest: image.digest, size: image.bytes.length }]);
  const other = await registry.putManifest('acme/app', 'all', Buffer.from(JSON.stringify(list)), {
    'content-type': ociIndex,
  });
  const path = '/v2/acme/app/manifests';
  await registry.head(`${path}/all`);
  await registry.get(`${path}/all`, {
    'if-none-match': other.headers.etag ?? `"${other.headers['docker-content-digest']}"`,
  });
  await registry.get(`${path}/v1`);
  await registry.get(`${path}/${image.digest}`);
  await app.close();
  const rows = await database.read
    .selectFrom('manifest_pulls')
    .innerJoin('manifests', 'manifests.id', 'manifest_pulls.manifest_id')
    .select(['digest', 'pulls'])
    .execute();
  assert.deepEqual(
    rows.map(({ digest, pulls }) => [digest, pulls]),
    [[image.digest, 2]],
  );
});
