// Puts a canary into every secret that Berth is configured with or receives, then searches everything that others can read.
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { stringify } from 'yaml';
import { configSchema } from '../../src/config/schema.ts';
import { settingsOf } from '../../src/config/settings.ts';
import { berth } from '../support/berth.ts';
import { startBerth } from '../support/process.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { Canaries, RecordingClient } from './canaries.ts';
import { issuedScenarios } from './issued.ts';
import { type Scenario, scenarios } from './scenarios.ts';

const secrets = settingsOf(configSchema).settings.filter(({ writeOnly }) => writeOnly);

/** Scenarios that may share a registry; those that create accounts have one each. */
const groups: Record<string, Readonly<Record<string, Scenario>>> = {
  'secrets that clients send': scenarios,
  ...Object.fromEntries(
    Object.entries(issuedScenarios).map(([name, scenario]) => [name, { [name]: scenario }]),
  ),
};

type Tree = { [key: string]: Tree | string };

/** Writes a configuration file outside the data directory, with canaries in the `planted` settings. */
async function configFile(
  t: TestContext,
  canaries: Canaries,
  settings: Tree,
  planted = secrets.map(({ key }) => key),
): Promise<string> {
  const file = join(await temporaryDirectory(t, 'config'), 'berth.yaml');
  const all = structuredClone(settings);
  for (const key of planted) {
    const path = key.split('.');
    const name = path.pop() as string;
    let section = all;
    for (const part of path) {
      section[part] ??= {};
      section = section[part] as Tree;
    }
    const secret = canaries.plant(key);
    section[name] = key === 'database.url' ? `postgres://berth:${secret}@127.0.0.1:1/berth` : secret;
  }
  await writeFile(file, stringify(all));
  return file;
}

const signOn = { issuer: 'https://127.0.0.1:1', clientId: 'berth' };
const s3 = {
  type: 's3',
  s3: { bucket: 'b', region: 'r', endpoint: 'http://127.0.0.1:1', accessKeyId: 'id' },
};

test('finds planted canaries', () => {
  const canaries = new Canaries();
  canaries.record('a log', `password: ${canaries.plant('a password')}`);
  canaries.record('another', canaries.basic('alice', 'a login'));
  canaries.record('a clean one', 'nothing');
  assert.deepEqual(canaries.found(), ['a password in a log', 'a login, base64-encoded in another']);
});

test('no command and no failed start shows a secret of the configuration', async (t) => {
  const canaries = new Canaries();
  const file = await configFile(t, canaries, { storage: s3, signOn });
  const data = await temporaryDirectory(t, 'data');
  for (const words of [
    ['config', 'show'],
    ['config', 'show', '--json'],
    ['config', 'check'],
    ['fsck'],
    ['read-only', 'status'],
    ['audit', 'export'],
  ]) {
    const { out, err } = await berth(...words, '--config', file, '--data', data);
    canaries.record(`berth ${words.join(' ')}`, out + err);
  }
  await assert.rejects(startBerth(t, { data, args: ['--config', file] }), (error: Error) => {
    canaries.record('a start without a database', error.message);
    return true;
  });
  const withoutDatabase = secrets.map(({ key }) => key).filter((key) => key !== 'database.url');
  const other = await configFile(t, canaries, { storage: s3, signOn }, withoutDatabase);
  await assert.rejects(startBerth(t, { data, args: ['--config', other] }), (error: Error) => {
    canaries.record('a start without a bucket', error.message);
    return true;
  });
  await canaries.recordFiles(data);
  canaries.assertHidden(/config show/, /--json/, /without a database/, /without a bucket/);
});

test('the error about an invalid secret does not contain it', async (t) => {
  const canaries = new Canaries();
  const file = join(await temporaryDirectory(t, 'config'), 'berth.yaml');
  for (const { key } of secrets) {
    const secret = canaries.plant(key);
    for (const value of [{ [secret]: secret }, [secret], `mysql://${secret}@host`, `${secret}\n${secret}`]) {
      const settings = key.split('.').reduceRight<unknown>((inner, name) => ({ [name]: inner }), value);
      await writeFile(file, stringify(settings));
      const { exitCode, out, err } = await berth('config', 'check', '--config', file);
      // Some values are valid, such as a password of two lines.
      if (exitCode !== 0) canaries.record('the error', `${out}${err}`);
    }
  }
  canaries.assertHidden(/the error/);
});

describe('a running registry', () => {
  // Each format and each setting once: they are independent. Logins succeed with `none`.
  for (const [format, anonymous] of [
    ['json', 'none'],
    ['pretty', 'push'],
  ] as const) {
    const claim = `no secret in the ${format} log, answers, metrics, audit log or files (anonymous: ${anonymous})`;
    for (const [group, members] of Object.entries(groups)) {
      test(`${group}: ${claim}`, async (t) => {
        const canaries = new Canaries();
        const file = await configFile(t, canaries, { signOn }, ['signOn.clientSecret', 'admin.password']);
        const settings = ['--log-level', 'trace', '--log-format', format, '--allow-anonymous', anonymous];
        const server = await startBerth(t, { args: ['--config', file, ...settings] });
        const { url, data } = server;
        const client = new RecordingClient(url, canaries);
        for (const [name, scenario] of Object.entries(members)) {
          await t.test(name, async () => {
            await scenario({ client, canaries, data });
            canaries.assertHidden(/the answer to/);
          });
        }
        for (const path of ['/metrics', '/healthz', '/readyz']) await client.send('GET', path);
        // Before the stop, which removes the write-ahead log.
        await canaries.recordFiles(data);
        await server.stop();
        await canaries.recordFiles(data);
        const { exitCode, out } = await berth('audit', 'export', '--data', data);
        assert.equal(exitCode, 0);
        canaries.record('the audit log', out);
        canaries.record('berth config show', (await berth('config', 'show', '--config', file)).out);
        canaries.record('the log', server.output());
        canaries.assertHidden(/the answer to/, /the log$/, /berth\.db$/);
      });
    }
  }
});
