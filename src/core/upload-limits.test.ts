import assert from 'node:assert/strict';
import { PassThrough, Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay, setImmediate as nextIteration } from 'node:timers/promises';
import { dialects, repositoryName, type TestDialect } from '../../test/support/databases.ts';
import { openMemoryStore } from '../../test/support/memory-store.ts';
import { system } from '../db/changes.ts';
import { findUploadUsage } from '../db/uploads.ts';
import { Blobs } from './blobs.ts';
import { digestBytes } from './running-hash.ts';
import { Uploads } from './uploads.ts';

const alice = 'user:1';
const usual = { sessions: 5, bytes: 1_000 };
const tooMany = { code: 'TOOMANYREQUESTS', retryAfter: 10 };

async function uploadsOf(t: TestContext, dialect: TestDialect, limits = usual) {
  const database = await dialect.open(t);
  const store = openMemoryStore();
  const clock = () => 1_000;
  const uploads = new Uploads({
    database,
    store,
    clock,
    limits,
    blobs: new Blobs({ database, store, clock }),
  });
  const start = async (owner = alice, chargedTo = owner) => {
    const { id } = await uploads.start(repositoryName, 'sha256', owner, { chargedTo });
    return { name: repositoryName, id, owner };
  };
  const staged = async (): Promise<number> => {
    let files = 0;
    for await (const _ of store.listUploads()) files += 1;
    return files;
  };
  return { uploads, start, staged, usage: (of = alice) => findUploadUsage(database.read, of) };
}

for (const dialect of dialects) {
  test(`${dialect.name}: the open uploads of an account are limited, without effect on other accounts`, async (t) => {
    const { uploads, start, usage } = await uploadsOf(t, dialect);
    const [first] = await Promise.all(Array.from({ length: usual.sessions }, () => start()));
    await assert.rejects(start(), tooMany);
    assert.deepEqual(await usage(), { sessions: 5, bytes: 0 });
    await start('user:2');
    await uploads.append(first!, bodyOf(7));
    await uploads.finish(first!, digestOf(7), bodyOf(0), { by: system });
    await start();
    await assert.rejects(start(), tooMany);
  });

  test(`${dialect.name}: callers without an account are counted by network`, async (t) => {
    const { start } = await uploadsOf(t, dialect);
    for (let i = 0; i < usual.sessions; i++) await start('anonymous', 'address:192.0.2.1');
    await assert.rejects(start('anonymous', 'address:192.0.2.1'), tooMany);
    await start('anonymous', 'address:192.0.2.2');
  });

  test(`${dialect.name}: no upload can be opened once the staged bytes reach the limit`, async (t) => {
    const { uploads, start } = await uploadsOf(t, dialect);
    const session = await start();
    await uploads.append(session, bodyOf(1_000));
    await assert.rejects(start(), tooMany);
    await start('user:2');
    await uploads.finish(session, digestOf(1_000), bodyOf(0), { by: system });
    await start();
  });

  test(`${dialect.name}: the uploads of an account stage no more than the limit; a refused upload frees its bytes`, async (t) => {
    const { uploads, start, staged, usage } = await uploadsOf(t, dialect);
    const sessions = await Promise.all(Array.from({ length: 5 }, () => start()));
    const outcomes: string[] = [];
    for (const session of sessions) {
      const appending = uploads.append(session, bodyOf(300));
      outcomes.push(
        await appending.then(
          () => 'kept',
          ({ code }) => code,
        ),
      );
    }
    assert.deepEqual(outcomes, ['kept', 'kept', 'kept', 'TOOMANYREQUESTS', 'TOOMANYREQUESTS']);
    assert.deepEqual([await usage(), await staged()], [{ sessions: 3, bytes: 900 }, 3]);
    await assert.rejects(uploads.status(sessions[4]!), { code: 'BLOB_UPLOAD_UNKNOWN' });
    await uploads.finish(sessions[0]!, digestOf(300), bodyOf(0), { by: system });
    await uploads.append(sessions[1]!, bodyOf(50));
  });

  test(`${dialect.name}: an upload above the limit is DENIED, because no retry helps`, async (t) => {
    const { uploads, start, usage } = await uploadsOf(t, dialect);
    const session = await start();
    await uploads.append(session, bodyOf(600));
    await assert.rejects(uploads.append(session, bodyOf(600)), { code: 'DENIED' });
    assert.deepEqual(await usage(), { sessions: 0, bytes: 0 });
  });

  test(`${dialect.name}: an upload above the limit is stopped at the limit, however fast its body arrives`, async (t) => {
    const bytes = 20 * chunk.length;
    const { uploads, start, staged, usage } = await uploadsOf(t, dialect, { sessions: 5, bytes });
    for (const sent of [0, 7]) {
      const session = await start();
      await uploads.append(session, fastBody(sent * chunk.length));
      const body = fastBody(10 * bytes);
      await assert.rejects(uploads.append(session, body), { code: 'DENIED' });
      assert.ok(body.taken.bytes <= (20 - sent + 1) * chunk.length, `${body.taken.bytes} bytes were taken`);
      assert.deepEqual([await usage(), await staged()], [{ sessions: 0, bytes: 0 }, 0]);
    }
    const exact = fastBody(bytes);
    assert.equal((await uploads.append(await start(), exact)).size, bytes);
  });

  test(`${dialect.name}: too many fast bodies are stopped before any lease is renewed`, async (t) => {
    const bytes = 16 << 20;
    const { uploads, start, usage } = await uploadsOf(t, dialect, { sessions: 4, bytes });
    // On a loaded machine the check of the usage takes longer than one query.
    const pace = async () => {
      for (let i = 0; i < 3; i++) await usage();
    };
    const bodies = Array.from({ length: 4 }, () => fastBody(bytes, pace));
    const sessions = await Promise.all(bodies.map(() => start()));
    const outcomes = await Promise.all(
      bodies.map((body, i) =>
        uploads.append(sessions[i]!, body).then(
          () => 'kept',
          ({ code }) => code,
        ),
      ),
    );
    const refused = bodies.filter((_, i) => outcomes[i] !== 'kept');
    assert.ok(refused.length >= 3, `${outcomes}`);
    for (const { taken } of refused) assert.ok(taken.bytes < bytes, 'the whole body was read');
  });

  test(`${dialect.name}: received bytes count before a body ends, and a body is stopped when their sum exceeds the limit`, async (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] });
    const { uploads, start, usage } = await uploadsOf(t, dialect);
    const bodies = [new PassThrough(), new PassThrough()] as const;
    const sessions = [await start(), await start()] as const;
    const appending = sessions.map((session, i) =>
      uploads
        .append(session, { open: () => bodies[i] as Readable })
        .then(() => 'kept')
        .catch(({ code }) => code),
    );
    bodies[0].write(Buffer.alloc(700));
    await renewedUntil(t, async () => (await usage()).bytes === 700);
    bodies[1].write(Buffer.alloc(700));
    const ended: string[] = [];
    for (const outcome of appending) outcome.then((text) => ended.push(text));
    await renewedUntil(t, async () => ended.length > 0);
    assert.equal(ended[0], 'TOOMANYREQUESTS');
    for (const body of bodies) body.end();
    await Promise.all(appending);
    assert.ok((await usage()).bytes <= usual.bytes);
  });
}

const chunk = Buffer.alloc(64 << 10);

/** A body that is sent as fast as it is read, but waits for `pace` after each MiB. `taken` counts the bytes read from it. */
function fastBody(bytes: number, pace: () => Promise<unknown> = nextIteration) {
  const taken = { bytes: 0 };
  const received = (count: number): void => {
    taken.bytes += count;
  };
  async function* chunks() {
    for (let left = bytes; left > 0; left -= chunk.length) {
      await (left % (1 << 20) === 0 ? pace() : nextIteration());
      yield chunk;
    }
  }
  return { open: () => Readable.from(chunks()), received, taken };
}

/** Lets the writers renew their leases until the condition holds. */
async function renewedUntil(t: TestContext, isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) {
    t.mock.timers.tick(5_000);
    await delay(20);
  }
}

function bodyOf(bytes: number) {
  return { open: () => Readable.from(bytes === 0 ? [] : [Buffer.alloc(bytes)]), empty: bytes === 0 };
}

function digestOf(bytes: number) {
  return digestBytes('sha256', Buffer.alloc(bytes));
}
