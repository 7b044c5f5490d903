// Runs commands in their own processes beside a server on the same database.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startBerth } from '../support/process.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

/** Runs a command in its own process, with `input` on its standard input. */
async function command(
  args: readonly string[],
  input = '',
): Promise<{ code: number | null; out: string; output: string }> {
  const child = spawn(process.execPath, [main, ...args], { env: { PATH: process.env.PATH } });
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr)]);
  return { code: await ended, out, output: out + err };
}

async function namesIn(data: string): Promise<string[]> {
  const { out } = await command(['user', 'list', '--json', '--data', data]);
  return JSON.parse(out).map(({ name }: { name: string }) => name);
}

async function startUpload(url: string): Promise<number> {
  return (await fetch(`${url}/v2/acme/app/blobs/uploads/`, { method: 'POST' })).status;
}

test('creates users beside a running server that accepts pushes', async (t) => {
  const server = await startBerth(t);
  const here = ['--data', server.data];
  const pushes = Array.from({ length: 20 }, () => startUpload(server.url));
  const made = ['alice', 'bob', 'carol'].map((name) =>
    command(['user', 'create', name, '--password-stdin', ...here], 'correct horse\n'),
  );
  for (const { code, output } of await Promise.all(made)) assert.equal(code, 0, output);
  for (const status of await Promise.all(pushes)) assert.equal(status, 202);
  assert.equal(await startUpload(server.url), 202);
  assert.deepEqual(await namesIn(server.data), ['alice', 'bob', 'carol']);
  assert.equal((await server.stop()).code, 0);
  assert.deepEqual(await namesIn(server.data), ['alice', 'bob', 'carol']);
});

test('keeps users created before the first start', async (t) => {
  const data = await temporaryDirectory(t, 'berth-data');
  const { code, output } = await command(['user', 'create', 'alice', '--admin', '--create', '--data', data]);
  assert.equal(code, 0, output);
  const server = await startBerth(t, { data });
  assert.equal(await startUpload(server.url), 202);
  assert.deepEqual(await namesIn(data), ['alice']);
});

test('concurrent creations of the first users create one registry', async (t) => {
  const data = join(await temporaryDirectory(t), 'data');
  const names = ['alice', 'bob', 'carol'];
  const made = names.map((name) =>
    command(['user', 'create', name, '--no-password', '--create', '--data', data]),
  );
  for (const { code, output } of await Promise.all(made)) assert.equal(code, 0, output);
  assert.deepEqual(await namesIn(data), names);
});
