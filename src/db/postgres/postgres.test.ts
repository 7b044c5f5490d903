import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { inspect } from 'node:util';
import { sql } from 'kysely';
import { cleanUp } from '../../../test/support/cleanup.ts';
import {
  digestNumber,
  insertNewManifest,
  makeRepository,
  openReplica,
  repositoryName,
} from '../../../test/support/databases.ts';
import { whyUnusable } from '../../../test/support/needs.ts';
import { openTestPostgres } from '../../../test/support/postgres.ts';
import { asAdministrator, passwordRole, startPostgresServer } from '../../../test/support/postgres-server.ts';
import { parseName } from '../../oci/name.ts';
import { parseTag } from '../../oci/reference.ts';
import { type Database, DatabaseUnavailable, UnfitDatabase } from '../database.ts';
import { lockTags } from '../locks.ts';

import { findOrCreateRepository, findRepository } from '../repositories.ts';
import { everyName, listInRange } from '../repository-ranges.ts';
import { listTags, moveTag } from '../tags.ts';
import { openPostgres } from './postgres.ts';
import { whyUnfit } from './session.ts';

const skip = whyUnusable('postgres');
const [a, b] = [parseName('a'), parseName('b')];

/** The error message of a start with this URL. */
async function refusal(url: string): Promise<string> {
  const error = await openPostgres({ url, poolSize: 2 }).then(
    async (database) => {
      await database.close();
      return assert.fail('it was opened');
    },
    (error: unknown) => error,
  );
  assert.ok(error instanceof UnfitDatabase, inspect(error));
  return error.message;
}

/** Terminates every other session of the database, as an administrator or a failover does. */
function endSessions(url: string): Promise<unknown> {
  return asAdministrator(url, (admin) =>
    admin.query(
      'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid != pg_backend_pid()',
    ),
  );
}

const healthy = { version: 140_000, encoding: 'UTF8', fsync: 'on', synchronous_commit: 'on' };

test('accepts servers from version 14 on, with any synchronous_commit but off', () => {
  for (const synchronous_commit of ['on', 'local', 'remote_write', 'remote_apply']) {
    assert.equal(whyUnfit({ ...healthy, synchronous_commit }), undefined);
  }
  assert.match(whyUnfit({ ...healthy, version: 130_014 }) ?? '', /^this is PostgreSQL 13; Berth needs 14/);
});

test('rejects a database with another encoding than UTF-8', { skip }, async (t) => {
  const url = await openTestPostgres(t, "encoding 'LATIN1' locale 'C' template template0");
  assert.match(
    await refusal(url),
    /^the database test_\w+ at 127\.0\.0\.1:\d+: its encoding is LATIN1; create a database/,
  );
});

test('rejects a server with fsync off', { skip }, async (t) => {
  const server = await startPostgresServer({ fsync: 'off' });
  cleanUp(t, () => server.stop());
  assert.match(await refusal(server.url), /fsync is off, .*; set fsync = on in postgresql\.conf/);
});

test('rejects synchronous_commit off at the start, and from the next connection when turned off later', {
  skip,
}, async (t) => {
  const url = await openTestPostgres(t);
  const database = await openReplica(t, url);
  await makeRepository(database);
  const name = new URL(url).pathname.slice(1);
  await asAdministrator(url, (admin) => admin.query(`alter database ${name} set synchronous_commit = off`));
  assert.match(await refusal(url), /synchronous_commit is off, .*alter role … set synchronous_commit = on$/);
  await endSessions(url);
  await assert.rejects(makeRepository(database, a), DatabaseUnavailable);
  await asAdministrator(url, (admin) => admin.query(`alter database ${name} reset synchronous_commit`));
  await makeRepository(database, a);
});

test('an unusable server is reported in one line without the password', { skip }, async (t) => {
  const url = new URL(await openTestPostgres(t));
  url.username = passwordRole.user;
  url.password = 'horse wrong';
  const messages = [await refusal(url.href)];
  assert.match(
    messages[0] as string,
    /cannot be used: password authentication failed for user "with_password"/,
  );
  const right = new URL(url);
  right.password = passwordRole.password;
  right.pathname = 'nowhere';
  messages.push(await refusal(right.href));
  assert.match(messages[1] as string, /database "nowhere" does not exist/);
  const closed = createServer().listen(0, '127.0.0.1');
  await once(closed, 'listening');
  right.port = String((closed.address() as AddressInfo).port);
  closed.close();
  await once(closed, 'close');
  messages.push(await refusal(right.href));
  assert.match(messages[2] as string, /ECONNREFUSED/);
  right.hostname = 'nowhere.invalid';
  messages.push(await refusal(right.href));
  for (const message of messages) assert.doesNotMatch(message, /horse|\n/);
});

test('reports a role that may not create tables', { skip }, async (t) => {
  const url = new URL(await openTestPostgres(t));
  await asAdministrator(url.href, (admin) => admin.query('revoke create on schema public from public'));
  url.username = passwordRole.user;
  url.password = passwordRole.password;
  assert.match(await refusal(url.href), /cannot be used: .*permission denied for schema public/);
});

test('replicas starting together on an empty database migrate it once', { skip }, async (t) => {
  const url = await openTestPostgres(t);
  const replicas = await Promise.all(Array.from({ length: 5 }, () => openReplica(t, url)));
  const ids = await Promise.all(replicas.map((database) => makeRepository(database)));
  assert.equal(new Set(ids).size, 1);
});

test('another replica can migrate after one died during the migration', { skip }, async (t) => {
  const url = await openTestPostgres(t);
  const dies = asAdministrator(url, async (admin) => {
    admin.on('error', () => {});
    await admin.query("select pg_advisory_lock('7090190283452108801')");
    const opening = openReplica(t, url);
    const waits = `select 1 from pg_stat_activity where wait_event = 'advisory' and datname = current_database()`;
    while ((await admin.query(waits)).rowCount === 0);
    await admin.query('begin; create table repositories (half integer)');
    await admin.query('select pg_terminate_backend(pg_backend_pid())').catch(() => {});
    await makeRepository(await opening);
  });
  await dies;
});

test('names sort by bytes, whatever the collation of the database', { skip }, async (t) => {
  const url = await openTestPostgres(t, "locale_provider icu icu_locale 'en-US' template template0");
  const database = await openReplica(t, url);
  const names = ['a', 'a-b', 'a.b', 'a/b', 'a0', 'a_b', 'b'].map(parseName);
  const tags = ['V1', '_', 'a', 'b', 'v1', 'v1-a', 'v1.0', 'v10'].sort().map(parseTag);
  for (const name of [...names].reverse()) {
    const repository = await makeRepository(database, name);
    await database.transaction(async (db) => {
      const manifest = await insertNewManifest(
        db,
        { ...emptyManifest, repository, digest: digestNumber(1) },
        1,
      );
      for (const tag of tags) await moveTag(db, repository, tag, manifest, 1);
    });
  }
  const list = async (after: string) =>
    (await listInRange(database.read, everyName, after, 100)).map((row) => row.name);
  assert.deepEqual(await list(''), names);
  assert.deepEqual(await list('a.b'), names.slice(3));
  assert.deepEqual(await listTags(database.read, a, '', 100), tags);
  const columns = await sql<{ column: string }>`
    select table_name || '.' || column_name as column from information_schema.columns
    where table_schema = 'public' and column_name in ('name', 'digest', 'id') and data_type = 'text'
      and table_name not like 'kysely%' and table_name not in ('leases', 'properties')
      and (table_name, column_name) != ('uploads', 'digest')
      and collation_name is distinct from 'C'`.execute(database.read);
  assert.deepEqual(columns.rows, []);
});

const emptyManifest = {
  mediaType: 'a/b',
  bytes: Buffer.alloc(0),
  subject: null,
  artifactType: null,
  annotations: null,
};

test('a page reads only its own rows, however many there are', { skip }, async (t) => {
  const database = await openReplica(t, await openTestPostgres(t));
  const repository = await makeRepository(database);
  await database.transaction(async (db) => {
    const manifest = await insertNewManifest(
      db,
      { ...emptyManifest, repository, digest: digestNumber(1) },
      1,
    );
    await sql`insert into tags (repository_id, name, manifest_id, updated_at)
      select ${repository}::bigint, 'v' || i, ${manifest}::bigint, 1 from generate_series(1, 20000) i`.execute(
      db,
    );
  });
  await database.transaction((db) => sql`analyze`.execute(db));
  const read = await database.transaction(async (db) => {
    const rows = async () => {
      const { rows } = await sql<{ read: number }>`select pg_stat_get_xact_tuples_returned('tags'::regclass)
        + pg_stat_get_xact_tuples_returned('tags_key'::regclass) as read`.execute(db);
      return rows[0]?.read as number;
    };
    const before = await rows();
    assert.equal((await listTags(db, repositoryName, 'v5', 50)).length, 50);
    return (await rows()) - before;
  });
  assert.ok(read >= 50 && read <= 60, `${read} rows read`);
});

test('the clock matches the server’s within milliseconds', { skip }, async (t) => {
  const database = await openReplica(t, await openTestPostgres(t));
  t.mock.method(Date, 'now', () => 0);
  const { rows } = await sql<{ time: number }>`
    select (extract(epoch from clock_timestamp()) * 1000)::float8 as time`.execute(database.read);
  assert.ok(Math.abs(database.clock() - (rows[0]?.time as number)) < 1_000);
  assert.ok(Number.isInteger(database.clock()));
});

test('replaces terminated connections and retries transactions', {
  skip,
}, async (t) => {
  const url = await openTestPostgres(t);
  const database = await openReplica(t, url);
  await makeRepository(database, a);
  await Promise.all(Array.from({ length: 5 }, () => findRepository(database.read, a)));
  await endSessions(url);
  assert.ok(await findRepository(database.read, a));
  let runs = 0;
  await database.transaction(async (db) => {
    runs += 1;
    await findOrCreateRepository(db, b, 1);
    if (runs === 1) await endSessions(url);
    await findRepository(db, b);
  });
  assert.equal(runs, 2);
  assert.ok(await findRepository(database.read, b));
});

test('a stopped server is unavailable at once, and used again after its restart', {
  skip,
}, async (t) => {
  const server = await startPostgresServer();
  cleanUp(t, () => server.stop());
  const database = await openReplica(t, server.url);
  await makeRepository(database, a);
  await server.down();
  for (const use of [
    () => findRepository(database.read, a),
    () => makeRepository(database, b),
    database.ping,
  ]) {
    const start = performance.now();
    await assert.rejects(use(), DatabaseUnavailable);
    assert.ok(performance.now() - start < 4_000);
  }
  await server.up();
  assert.ok(await findRepository(database.read, a));
  await makeRepository(database, b);
  await database.ping();
});

/** A proxy to the server: `cut` sees what Berth sends and decides what happens. */
async function proxied(
  t: TestContext,
  url: string,
  onSent: (text: string) => 'pass' | 'cut after' | 'hold answers',
): Promise<string> {
  const target = new URL(url);
  const { port, hostname } = target;
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname);
    let held = false;
    for (const socket of [client, upstream]) sockets.add(socket.on('error', () => {}));
    client.on('data', (data) => {
      const verdict = onSent(data.toString('latin1'));
      held ||= verdict === 'hold answers';
      upstream.write(data, () => {
        // The server gets the commit, but its answer is lost.
        if (verdict === 'cut after') upstream.once('data', () => client.destroy());
      });
      held ||= verdict === 'cut after';
    });
    upstream.on('data', (data) => held || client.write(data));
    client.on('close', () => upstream.end());
    upstream.on('close', () => client.end());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanUp(t, () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  target.port = String((server.address() as AddressInfo).port);
  return target.href;
}

test('a commit whose answer was lost throws DatabaseUnavailable and is not repeated', { skip }, async (t) => {
  const url = await openTestPostgres(t);
  let cut = false;
  const database = await openReplica(
    t,
    await proxied(t, url, (text) => (cut && text.includes('; commit') ? 'cut after' : 'pass')),
  );
  cut = true;
  let runs = 0;
  const lost = database.transaction((db) => {
    runs += 1;
    return findOrCreateRepository(db, a, 1);
  });
  await assert.rejects(lost, (error) => error instanceof DatabaseUnavailable && /commit/.test(error.message));
  assert.equal(runs, 1);
  cut = false;
  assert.ok(await findRepository(database.read, a), 'it was committed');
});

test('gives up a silent server and opens a new connection', { skip }, async (t) => {
  let hold = false;
  const through = await proxied(t, await openTestPostgres(t), () => (hold ? 'hold answers' : 'pass'));
  const database = await openReplica(t, `${through}?query_timeout=500`);
  await makeRepository(database, a);
  hold = true;
  await assert.rejects(findRepository(database.read, a), DatabaseUnavailable);
  await assert.rejects(makeRepository(database, b), DatabaseUnavailable);
  hold = false;
  assert.ok(await findRepository(database.read, a));
  await makeRepository(database, b);
});

test('a suspended replica that holds a lock blocks no reads, and writes only for a time', {
  skip,
}, async (t) => {
  const url = await openTestPostgres(t);
  const [stalled, other] = [await openReplica(t, url), await openReplica(t, url, 2)];
  const locked = Promise.withResolvers<void>();
  const { promise: forever } = Promise.withResolvers<void>();
  const lock = (database: Database, then?: () => Promise<void>) =>
    database.transaction(async (db) => {
      await lockTags(db, 1, [parseTag('v1')]);
      await then?.();
    });
  const ended = stalled
    .transaction(async (db) => {
      await lockTags(db, 1, [parseTag('v1')]);
      locked.resolve();
      // Like a suspended process: the server ends the session, not the client.
      await Promise.race([forever, once(process, 'berth-test-go-on')]);
      await findRepository(db, a);
    })
    .catch((error: unknown) => error);
  await locked.promise;
  // One of the two waits for the lock, the other for a connection.
  const waiting = [lock(other), lock(other)];
  assert.equal(await findRepository(other.read, a), undefined);
  for (const result of await Promise.allSettled(waiting)) {
    assert.ok(result.status === 'rejected' && result.reason instanceof DatabaseUnavailable);
  }
  for (let free = false; !free; )
    free = await lock(other).then(
      () => true,
      () => false,
    );
  process.emit('berth-test-go-on' as never);
  assert.ok((await ended) instanceof DatabaseUnavailable);
});
