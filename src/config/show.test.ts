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

test('what is shown is a file that gives the same configuration', () => {
  const env = {
    BERTH_LISTEN: '[::]:5001',
    BERTH_ANONYMOUS: 'pull',
    BERTH_TLS_CERTIFICATE: 'a crt',
    BERTH_TLS_KEY: '/key: # no comment',
    BERTH_OPERATIONS_LISTEN: 'localhost:0',
    BERTH_LIMITS_IDLE_TIMEOUT: '1500ms',
    BERTH_LIMITS_MINIMUM_RATE: '0',
    BERTH_MANIFESTS_MAX_SIZE: '4194305',
  };
  for (const loaded of [loadConfig({ env }), loadConfig({ env: {} })]) {
    for (const text of [showYaml(configSchema, loaded), JSON.stringify(showObject(configSchema, loaded))]) {
      const file = join(folder, 'shown.yaml');
      writeFileSync(file, text);
      assert.deepEqual(loadConfig({ file, env: {} }).config, loaded.config);
    }
  }
});

test('each value says where it comes from', () => {
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

test('a secret is hidden', () => {
  const schema = z.strictObject({
    database: z.strictObject({ url: z.string().meta({ allowed: 'a URL', writeOnly: true }) }),
  });
  const loaded = load(schema, { env: { BERTH_DATABASE_URL: 'postgres://user:hunter2@db' } });
  assert.equal(showYaml(schema, loaded), 'database:\n  url: (hidden) # BERTH_DATABASE_URL\n');
  assert.deepEqual(showObject(schema, loaded), { database: { url: '(hidden)' } });
});
