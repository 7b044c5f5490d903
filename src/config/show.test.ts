import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { z } from 'zod';
import { load, loadConfig } from './load.ts';
import { configSchema } from './schema.ts';
import { showObject, showYaml } from './show.ts';

const folder = mkdtempSync(join(tmpdir(), 'berth-show-'));
after(() => rmSync(folder, { recursive: true }));

test('the printed configuration gives the same configuration when loaded', () => {
  const env = {
    BERTH_LISTEN: '[::]:5001',
    BERTH_ANONYMOUS: 'pull',
    BERTH_TLS_CERTIFICATE: 'a crt',
    BERTH_TLS_KEY: '/key: # no comment',
    BERTH_OPERATIONS_LISTEN: 'localhost:0',
    BERTH_LIMITS_IDLE_TIMEOUT: '1500ms',
    BERTH_LIMITS_MINIMUM_RATE: '0',
    BERTH_MANIFESTS_MAX_SIZE: '4194305',
    BERTH_STORAGE_TYPE: 's3',
    BERTH_STORAGE_S3_BUCKET: 'registry',
    BERTH_STORAGE_S3_ENDPOINT: 'http://[::1]:9000/',
    BERTH_STORAGE_S3_PREFIX: 'a',
    BERTH_STORAGE_S3_STREAM_TO: '10.0.0.0/8,::1',
    BERTH_EXTERNAL_URL: 'https://registry.example.com',
    BERTH_TRUSTED_PROXIES: '10.0.0.0/8,::1',
    BERTH_ADMIN_NAME: 'root',
    BERTH_ACCESS_TOKEN_LIFETIME: '90s',
    BERTH_SIGN_ON_ISSUER: 'https://login.example.com',
    BERTH_SIGN_ON_CLIENT_ID: 'berth',
    BERTH_SIGN_ON_SCOPES: 'openid,groups',
    BERTH_TOKEN_SERVER_REALM: 'https://auth.example.com/token',
    BERTH_TOKEN_SERVER_SERVICE: 'registry',
    BERTH_TOKEN_SERVER_ISSUER: 'auth: # no comment',
    BERTH_TOKEN_SERVER_KEYS: 'keys.json',
    BERTH_RATE_LIMITS_PULLS_PER_ADDRESS: '100',
  };
  for (const loaded of [loadConfig({ env }), loadConfig({ env: {} })]) {
    for (const text of [showYaml(configSchema, loaded), JSON.stringify(showObject(configSchema, loaded))]) {
      const file = join(folder, 'shown.yaml');
      writeFileSync(file, text);
      assert.deepEqual(loadConfig({ file, env: {} }).config, loaded.config);
    }
  }
});

test('each value has its source in a comment', () => {
  const file = join(folder, 'berth.yaml');
  writeFileSync(file, 'data: /srv/berth\n');
  const loaded = loadConfig({ file, env: { BERTH_LOG_LEVEL: 'warn' }, flags: { listen: '127.0.0.1:1' } });
  const lines = showYaml(configSchema, loaded).split('\n');
  for (const line of [
    'listen: 127.0.0.1:1 # --listen',
    `data: /srv/berth # ${file}:1:7`,
    'anonymous: push # default',
    '  level: warn # BERTH_LOG_LEVEL',
    '  expireAfter: 1d # default',
  ]) {
    assert.ok(lines.includes(line), line);
  }
});

test('a list is shown on one line', () => {
  const env = {
    BERTH_STORAGE_TYPE: 's3',
    BERTH_STORAGE_S3_BUCKET: 'registry',
    BERTH_STORAGE_S3_STREAM_TO: '10.0.0.0/8,::1',
  };
  const text = showYaml(configSchema, loadConfig({ env }));
  assert.match(text, /^ {4}streamTo: \[ 10\.0\.0\.0\/8, ::1 \] # BERTH_STORAGE_S3_STREAM_TO$/m);
});

test('shows no secret of the schema, in either form', () => {
  const env = {
    BERTH_DATABASE_URL: 'postgres://berth:hunter2@db/berth',
    BERTH_STORAGE_TYPE: 's3',
    BERTH_STORAGE_S3_BUCKET: 'registry',
    BERTH_STORAGE_S3_ACCESS_KEY_ID: 'AKIA',
    BERTH_STORAGE_S3_SECRET_ACCESS_KEY: 'hunter2',
    BERTH_STORAGE_S3_SESSION_TOKEN: 'hunter2',
    BERTH_ADMIN_PASSWORD: 'hunter2',
    BERTH_SIGN_ON_ISSUER: 'https://login.example.com',
    BERTH_SIGN_ON_CLIENT_ID: 'berth',
    BERTH_SIGN_ON_CLIENT_SECRET: 'hunter2',
  };
  const loaded = loadConfig({ env });
  const shown = showYaml(configSchema, loaded) + JSON.stringify(showObject(configSchema, loaded));
  assert.equal(shown.match(/\(hidden\)/g)?.length, 10);
  assert.ok(!shown.includes('hunter2'));
});

test('a secret is hidden', () => {
  const schema = z.strictObject({
    database: z.strictObject({ url: z.string().meta({ allowed: 'a URL', writeOnly: true }) }),
  });
  const loaded = load(schema, { env: { BERTH_DATABASE_URL: 'postgres://user:hunter2@db' } });
  assert.equal(showYaml(schema, loaded), 'database:\n  url: (hidden) # BERTH_DATABASE_URL\n');
  assert.deepEqual(showObject(schema, loaded), { database: { url: '(hidden)' } });
});
