// The commands' errors and output, and a read-only registry.
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { berth } from '../support/berth.ts';
import { assertError, Client } from '../support/inject.ts';
import { needs } from '../support/needs.ts';
import { openTestPostgres } from '../support/postgres.ts';
import { testRegistry } from '../support/registry.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { database, onDisk, place, succeed } from './places.ts';

describe('berth read-only', () => {
  for (const kind of ['SQLite', 'PostgreSQL'] as const) {
    test(`${kind}: a running registry rejects writes with the reason and serves reads, until it is off`, async (t) => {
      if (kind === 'PostgreSQL' && !needs(t, 'postgres')) return;
      const settings = kind === 'PostgreSQL' ? database(await openTestPostgres(t)) : {};
      const { app, data } = await testRegistry(t, settings);
      const at = { ...(await place(t, { data, ...settings })), data };
      const client = new Client(app.http);
      const image = await client.pushImage('app', 'latest');
      const { digest } = await client.pushContent('app');
      const open = await client.openUpload('app');
      await client.patch(open, 'first');

      assert.match(await succeed(at, 'read-only', 'status'), / is writable\n$/);
      assert.equal(await succeed(at, 'read-only', 'on', '--reason', 'a new disk'), 'read-only: a new disk\n');
      assert.match(await succeed(at, 'read-only', 'status'), / is read-only: a new disk\n$/);
      const manifest = `/v2/app/manifests/${image.digest}`;
      for (const refused of [
        await client.send('POST', '/v2/app/blobs/uploads/'),
        await client.send('POST', `/v2/app/blobs/uploads/?digest=${digest}`, {}, 'bytes'),
        await client.send('POST', `/v2/other/blobs/uploads/?mount=${digest}&from=app`),
        await client.patch(open, ' and second'),
        await client.finish(open, digest),
        await client.delete(open),
        await client.putManifest('app', 'other', image.bytes),
        await client.delete('/v2/app/manifests/latest'),
        await client.delete(manifest),
        await client.delete(`/v2/app/blobs/${digest}`),
      ]) {
        assertError(refused, 403, 'DENIED');
        // The message, not the detail: it is all that docker prints.
        const [error] = refused.json<{ errors: { message: string }[] }>().errors;
        assert.equal(error?.message, 'the registry is read-only: a new disk');
      }
      const ready = await app.http.inject('/readyz');
      assert.deepEqual(ready.json(), { status: 'ready', readOnly: 'a new disk' });
      for (const url of [
        manifest,
        '/v2/app/manifests/latest',
        `/v2/app/blobs/${digest}`,
        '/v2/_catalog',
        open,
      ]) {
        assert.match(String((await client.get(url)).status), /^20[04]$/, url);
      }
      assert.equal((await client.head(`/v2/app/blobs/${digest}`)).status, 200);
      assert.deepEqual(await client.tags('app'), ['latest']);

      assert.equal(await succeed(at, 'read-only', 'off'), 'writable\n');
      assert.equal((await client.patch(open, ' and second')).status, 202);
      await client.pushImage('app', 'other');
      const log = (await succeed(at, 'audit', 'export'))
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line))
        .filter(({ action }) => action.startsWith('registry.'));
      assert.deepEqual(
        log.map(({ action, actor, detail }) => [action, actor, detail]),
        [
          ['registry.read-only', `cli:${userInfo().username}`, { reason: 'a new disk' }],
          ['registry.writable', `cli:${userInfo().username}`, undefined],
        ],
      );
    });
  }

  test('a read-only registry can be started and logs the reason', async (t) => {
    const at = await onDisk(t);
    await (await at.serve()).stop();
    await succeed(at, 'read-only', 'on');
    const running = await at.serve();
    const refused = await fetch(`${running.url}/v2/app/blobs/uploads/`, { method: 'POST' });
    assert.equal(refused.status, 403);
    assert.match(await refused.text(), /the registry is read-only: maintenance/);
    assert.match(
      running.output(),
      /"reason":"maintenance","msg":"the registry is read-only: pushes and deletes/,
    );
    assert.doesNotMatch(running.output(), /"level":"error"/);
  });
});

for (const name of ['migrate-store', 'migrate-db']) {
  describe(`berth ${name}`, () => {
    test('needs --to, and its help has examples', async () => {
      const missing = await berth(name);
      assert.equal(missing.exitCode, 2);
      assert.match(missing.err, /required option '--to <file>' not specified/);
      const { out } = await berth(name, '--help');
      assert.ok(out.includes(`berth ${name} --config berth.yaml --to new.yaml --finish`));
    });

    test('a mistake in the file is reported with its line', async (t) => {
      const file = join(await temporaryDirectory(t), 'new.yaml');
      await writeFile(file, 'data: ./data\nstorage:\n  type: tape\n');
      const { exitCode, err } = await berth(name, '--to', file);
      assert.equal(exitCode, 2);
      assert.match(err, /new\.yaml:3.*storage\.type is "tape"/);
    });

    test('rejects a target equal to the source and creates nothing', async (t) => {
      const from = await onDisk(t);
      const missing = await berth(name, '--config', from.file, '--to', (await onDisk(t)).file);
      assert.match(missing.err, /^berth: no registry in /);
      await (await from.serve()).stop();
      const { exitCode, err } = await berth(name, '--config', from.file, '--to', from.file);
      assert.equal(exitCode, 1);
      assert.match(
        err,
        /^berth: .*berth\.yaml has the same (blob store|database) as the current configuration\n$/,
      );
    });
  });
}

test('berth migrate-db rejects a data directory in use', async (t) => {
  const [from, to] = [await onDisk(t), await onDisk(t)];
  await (await from.serve()).stop();
  await to.serve();
  const { exitCode, err } = await berth('migrate-db', '--config', from.file, '--to', to.file);
  assert.equal(exitCode, 1);
  assert.match(err, /^berth: another berth serves from /);
});

test('the error about an unreachable database does not contain the password', async (t) => {
  const from = await onDisk(t);
  await (await from.serve()).stop();
  const to = await place(t, database('postgres://berth:secret@127.0.0.1:1/berth'));
  const { exitCode, err } = await berth('migrate-db', '--config', from.file, '--to', to.file);
  assert.equal(exitCode, 1);
  assert.match(err, /^berth: the database berth at 127\.0\.0\.1:1 cannot be used: .*ECONNREFUSED/);
  assert.doesNotMatch(err, /secret/);
});
