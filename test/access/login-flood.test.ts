// A flood of wrong passwords delays only the addresses that send it.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { open, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { HashQueue } from '../../src/access/login/hash-queue.ts';
import { Logins } from '../../src/access/login/logins.ts';
import { hashPassword } from '../../src/access/login/passwords.ts';
import { setPassword } from '../../src/db/users.ts';
import type { RegistryError } from '../../src/oci/errors.ts';
import { dialects, makeUser } from '../support/databases.ts';
import { startBerth } from '../support/process.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const { open: openDatabase } = dialects[0]!;
const password = 'correct horse';

interface Rejection {
  readonly code: string;
  readonly retryAfter: number | undefined;
  readonly milliseconds: number;
}

test('a flood of logins from some addresses does not delay reads and other logins', async (t) => {
  const database = await openDatabase(t);
  const id = await makeUser(database, 'alice');
  await database.transaction(async (db) => setPassword(db, id, await hashPassword(password), 1));
  const queue = new HashQueue({ waiting: 16 });
  const logins = new Logins({
    database,
    clock: Date.now,
    passwordLogin: true,
    perAddress: 30,
    perAccount: 1000,
    queue,
  });
  const file = join(await temporaryDirectory(t), 'blob');
  await writeFile(file, randomBytes(1 << 20));
  const handle = await open(file);
  t.after(() => handle.close());

  const rejections: Rejection[] = [];
  const attempt = async (i: number): Promise<void> => {
    const start = performance.now();
    const credentials = { username: `user${i % 50}`, password: `wrong ${i}` };
    const error = await logins.authenticate(credentials, `192.0.2.${i % 10}`).then(
      () => assert.fail('a wrong password was accepted'),
      (error: RegistryError) => error,
    );
    rejections.push({
      code: error.code,
      retryAfter: error.retryAfter,
      milliseconds: performance.now() - start,
    });
  };
  const flood = Promise.all(Array.from({ length: 1000 }, (_, i) => attempt(i)));
  let flooding = true;
  flood.finally(() => {
    flooding = false;
  });

  // A new address waits for at most one login of each other address in the queue.
  const login = logins.authenticate({ username: 'alice', password }, '198.51.100.1');
  let reads = 0;
  let longestQueue = 0;
  const buffer = Buffer.alloc(64 << 10);
  while (flooding) {
    await handle.read(buffer, 0, buffer.length, (reads % 16) * buffer.length);
    reads += 1;
    longestQueue = Math.max(longestQueue, queue.waiting);
  }
  await flood;
  assert.deepEqual((await login).principal, { kind: 'user', id, name: 'alice' });
  assert.ok(longestQueue <= 16, `${longestQueue} logins waited`);
  const checked = rejections.filter(({ code }) => code === 'UNAUTHORIZED').length;
  const refused = rejections.filter(({ code }) => code === 'UNAVAILABLE');
  assert.equal(checked + refused.length, 1000);
  assert.ok(checked >= 1 && checked <= 1000 / 10, `${checked} passwords were checked`);
  assert.ok(refused.every(({ retryAfter }) => retryAfter === 10));
  // If hashes filled the four threads, only one read would get through for each hash.
  assert.ok(reads > 4 * checked, `${reads} reads beside ${checked} hashes`);
});

test('a flooding address gets TOOMANYREQUESTS with the seconds to wait at once', async (t) => {
  const database = await openDatabase(t);
  const logins = new Logins({
    database,
    clock: Date.now,
    passwordLogin: true,
    perAddress: 3,
    perAccount: 1000,
  });
  const attempt = async (i: number): Promise<Rejection> => {
    const start = performance.now();
    const credentials = { username: `user${i}`, password: 'wrong' };
    const error = (await logins
      .authenticate(credentials, '192.0.2.1')
      .catch((error) => error)) as RegistryError;
    return { code: error.code, retryAfter: error.retryAfter, milliseconds: performance.now() - start };
  };
  for (let i = 0; i < 3; i++) assert.equal((await attempt(i)).code, 'UNAUTHORIZED');
  const all = await Promise.all(Array.from({ length: 500 }, (_, i) => attempt(i)));
  assert.ok(all.every(({ code }) => code === 'TOOMANYREQUESTS'));
  assert.ok(all.every(({ retryAfter }) => retryAfter === 20));
  const slowest = Math.max(...all.map(({ milliseconds }) => milliseconds));
  // 500 hashes would take at least ten seconds.
  assert.ok(slowest < 2000, `the slowest of 500 took ${slowest} ms`);
});

test('rejects an Authorization header of a mebibyte by its size', async (t) => {
  const berth = await startBerth(t, { args: ['--allow-anonymous', 'public'] });
  const { hostname, port } = new URL(berth.url);
  const socket = connect(Number(port), hostname);
  socket.setEncoding('latin1').on('error', () => {});
  let answer = '';
  socket.on('data', (text: string) => {
    answer += text;
  });
  const huge = Buffer.alloc(1 << 20, 'a').toString('base64');
  socket.write(`GET /v2/ HTTP/1.1\r\nHost: ${berth.host}\r\nAuthorization: Basic ${huge}\r\n\r\n`);
  await new Promise((resolve) => socket.once('close', resolve));
  assert.match(answer, /^HTTP\/1\.1 431 /);
});
