import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { insertRow, makeOrganisation } from '../../../test/support/access.ts';
import { dialects, openReplica, type TestDialect } from '../../../test/support/databases.ts';
import { openTestPostgres } from '../../../test/support/postgres.ts';
import type { ActingDatabase } from '../../administration/change.ts';
import { removeEndedSigningKeys, rotateSigningKeys } from '../../administration/signing-keys.ts';
import { findProperty } from '../../db/properties.ts';
import { listSigningKeys } from '../../db/signing-keys.ts';
import { SigningKeys } from './signing-keys.ts';

const hour = 3_600_000;
const lifetimes = { tokenLifetime: 300_000, refreshLifetime: 24 * hour, revoke: false };

/** A database with a clock that the test sets, and two processes' keys on it. */
async function setUp(t: TestContext, dialect: TestDialect) {
  const time = { now: 1_000_000 };
  const clock = (): number => time.now;
  const database: ActingDatabase = { ...(await dialect.open(t)), clock };
  const parts = { database, clock };
  return { database, time, here: new SigningKeys(parts), there: new SigningKeys(parts) };
}

async function idsOf({ read }: ActingDatabase): Promise<string[]> {
  return (await listSigningKeys(read)).map(({ id }) => id);
}

for (const dialect of dialects) {
  test(`${dialect.name}: the first key is created on first use, and is the same for all processes`, async (t) => {
    const { database, here, there } = await setUp(t, dialect);
    assert.deepEqual(await idsOf(database), []);
    const signers = await Promise.all([here.signer(), there.signer(), here.signer(), there.signer()]);
    assert.equal(new Set(signers.map(({ id }) => id)).size, 1);
    assert.deepEqual(await idsOf(database), [signers[0]?.id]);
    assert.equal(here.fresh, true);
    assert.equal(here.get(signers[0]?.id as string)?.id, signers[0]?.id);
    const issuers = await Promise.all([here.issuer(), there.issuer(), here.issuer()]);
    assert.equal(new Set(issuers).size, 1);
    assert.match(issuers[0] as string, /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/);
    assert.equal(await findProperty(database.read, 'registry'), issuers[0]);
  });

  test(`${dialect.name}: 15 seconds after a rotation every process signs with the new key, and the old one still verifies`, async (t) => {
    const { database, time, here, there } = await setUp(t, dialect);
    const old = (await here.signer()).id;
    await there.refresh();
    time.now += 1;
    const { id, removed } = await rotateSigningKeys(database, lifetimes);
    assert.deepEqual(removed, []);
    assert.ok(await there.find(id), 'another replica knows the new key at once');
    time.now += 15_000;
    for (const keys of [here, there]) {
      assert.equal((await keys.signer()).id, id);
      assert.equal((await keys.find(old))?.retired, true);
    }
  });

  test(`${dialect.name}: a revoked key verifies nothing after 15 seconds`, async (t) => {
    const { database, time, here } = await setUp(t, dialect);
    const old = (await here.signer()).id;
    time.now += 1;
    const { id, removed } = await rotateSigningKeys(database, { ...lifetimes, revoke: true });
    assert.deepEqual([removed, await idsOf(database)], [[old], [id]]);
    time.now += 14_998;
    assert.ok(await here.find(old));
    time.now += 1;
    assert.equal(await here.find(old), undefined);
    assert.equal(here.get(old), undefined);
  });

  test(`${dialect.name}: a retired key is removed once the last token it signed has ended`, async (t) => {
    const { database, time, here } = await setUp(t, dialect);
    const old = (await here.signer()).id;
    await rotateSigningKeys(database, lifetimes);
    time.now += 24 * hour + 60_000;
    assert.deepEqual(await removeEndedSigningKeys(database, lifetimes), []);
    time.now += 1;
    assert.deepEqual(await removeEndedSigningKeys(database, lifetimes), [old]);
    time.now += 100 * hour;
    assert.deepEqual(await removeEndedSigningKeys(database, lifetimes), [], 'the signing key stays');
  });

  test(`${dialect.name}: a key is kept as long as the longest tokens of jobs`, async (t) => {
    const { database, time, here } = await setUp(t, dialect);
    const old = (await here.signer()).id;
    await insertRow(database, 'trusts', {
      organisation_id: await makeOrganisation(database, 'acme'),
      name: 'ci',
      issuer: 'https://issuer.example',
      audience: 'berth',
      claims: '{}',
      scopes: 'repository:acme/**:pull',
      lifetime: 48 * hour,
      created_at: 1,
      updated_at: 1,
    });
    await rotateSigningKeys(database, lifetimes);
    time.now += 48 * hour;
    assert.deepEqual(await removeEndedSigningKeys(database, lifetimes), []);
    time.now += 60_001;
    // A later rotation removes it too.
    assert.deepEqual((await rotateSigningKeys(database, lifetimes)).removed, [old]);
  });
}

const withPostgres = dialects.some(({ name }) => name === 'PostgreSQL');

test('two replicas that create the first key at once agree on one', { skip: !withPostgres }, async (t) => {
  const url = await openTestPostgres(t);
  const replicas = await Promise.all([openReplica(t, url), openReplica(t, url), openReplica(t, url)]);
  const all = replicas.map((database) => new SigningKeys({ database, clock: database.clock }));
  const signers = await Promise.all(all.map((keys) => keys.signer()));
  assert.equal(new Set(signers.map(({ id }) => id)).size, 1);
  assert.equal(new Set(await Promise.all(all.map((keys) => keys.issuer()))).size, 1);
});

test('a clock that is set back does not extend the use of a key', async (t) => {
  const { database, time, here } = await setUp(t, dialects[0] as TestDialect);
  const old = (await here.signer()).id;
  await rotateSigningKeys(database, { ...lifetimes, revoke: true });
  time.now -= hour;
  assert.equal(here.fresh, false);
  assert.equal(await here.find(old), undefined);
});

/** A database that counts transactions. */
function counting(database: ActingDatabase): { counted: ActingDatabase; begun: () => number } {
  let count = 0;
  const counted: ActingDatabase = {
    ...database,
    transaction(run, options) {
      count++;
      return database.transaction(run, options);
    },
  };
  return { counted, begun: () => count };
}

test('an existing key and issuer id are only read, and the key is parsed once', async (t) => {
  const { database, time, here } = await setUp(t, dialects[0] as TestDialect);
  const { id } = await here.signer();
  const issuer = await here.issuer();
  const { counted, begun } = counting(database);
  const there = new SigningKeys({ database: counted, clock: () => time.now });
  const signer = await there.signer();
  assert.deepEqual([signer.id, await there.issuer(), begun()], [id, issuer, 0]);
  time.now += 15_000;
  assert.equal((await there.find(id))?.privateKey, signer.privateKey);
});

test('a new key is created if all are retired', async (t) => {
  const { database, time, here } = await setUp(t, dialects[0] as TestDialect);
  const { id } = await here.signer();
  await retireAll(database);
  time.now += 15_000;
  const { id: made, retired } = await here.signer();
  assert.notEqual(made, id);
  assert.equal(retired, false);
});

test('a key retired right after its creation does not sign', async (t) => {
  const { database, time } = await setUp(t, dialects[0] as TestDialect);
  let made = 0;
  const racing: ActingDatabase = {
    ...database,
    async transaction(run, options) {
      const result = await database.transaction(run, options);
      if (made++ === 0) await retireAll(database);
      return result;
    },
  };
  const { retired } = await new SigningKeys({ database: racing, clock: () => time.now }).signer();
  assert.deepEqual([retired, made, (await idsOf(database)).length], [false, 2, 2]);
});

async function retireAll(database: ActingDatabase): Promise<void> {
  await database.transaction((db) => db.updateTable('signing_keys').set({ retired_at: 1 }).execute());
}
