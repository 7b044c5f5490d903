import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { StoreDisagrees } from './core/store-mismatch.ts';
import { endingOf, Failure } from './failure.ts';
import { TlsError } from './http/tls-error.ts';

function thrownBy(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
}

async function listenError(host: string, port: number): Promise<unknown> {
  const server = createServer().listen(port, host);
  const [error] = await once(server, 'error').catch((error) => [error]);
  return error;
}

test('an address in use gives one line with the remedy', async () => {
  await using server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  assert.deepEqual(endingOf(await listenError('127.0.0.1', port)), {
    exitCode: 1,
    text: `berth: cannot listen on 127.0.0.1:${port}: another program already listens there; stop it or choose another address with --listen\n`,
  });
});

test('an address of another machine gives one line', async () => {
  assert.deepEqual(endingOf(await listenError('192.0.2.1', 5000)), {
    exitCode: 1,
    text: 'berth: cannot listen on 192.0.2.1:5000: this machine has no such address\n',
  });
});

test('a data directory that cannot be created gives one line', () => {
  assert.deepEqual(endingOf(thrownBy(() => mkdirSync('/dev/null/data'))), {
    exitCode: 1,
    text: 'berth: cannot mkdir /dev/null/data: part of the path is a file\n',
  });
});

test('a database that cannot be opened gives one line', () => {
  assert.deepEqual(endingOf(thrownBy(() => new DatabaseSync('/nowhere/berth.db'))), {
    exitCode: 1,
    text: 'berth: cannot use the database: unable to open database file\n',
  });
});

test('a failure of a command prints its message', () => {
  for (const kind of [Failure, TlsError, StoreDisagrees]) {
    const error = new kind('3 problems');
    assert.deepEqual(endingOf(error), { exitCode: 1, text: 'berth: 3 problems\n' });
  }
});

test('a bug prints its stack', () => {
  const { exitCode, text } = endingOf(new TypeError('bug'));
  assert.equal(exitCode, 1);
  assert.match(text, /^berth: TypeError: bug\n {4}at .*failure\.test\.ts/);
  assert.deepEqual(endingOf('thrown'), { exitCode: 1, text: 'berth: thrown\n' });
});
