import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { loadConfig } from './load.ts';
import { ConfigError } from './mistake.ts';

const folder = mkdtempSync(join(tmpdir(), 'berth-environment-'));
after(() => rmSync(folder, { recursive: true }));

const URL = 'postgres://berth:hunter2@db/berth';

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

function mistakesOf(env: Record<string, string>): readonly string[] {
  try {
    loadConfig({ env });
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.mistakes;
  }
  return [];
}

describe('a secret in a file', () => {
  for (const [name, text] of [
    ['without a line end', URL],
    ['with a line end', `${URL}\n`],
    ['with a Windows line end', `${URL}\r\n`],
  ] as const) {
    test(`is read ${name}`, () => {
      const env = { BERTH_DATABASE_URL_FILE: file('url', text) };
      const { config, origins } = loadConfig({ env });
      assert.equal(config.database.url, URL);
      assert.equal(origins.get('database.url'), 'BERTH_DATABASE_URL_FILE');
    });
  }

  test('is read without its last line end, but with an earlier one', () => {
    const [mistake] = mistakesOf({ BERTH_STORAGE_S3_SECRET_ACCESS_KEY_FILE: file('key', 'hunter2\n\n') });
    assert.match(mistake!, /^BERTH_STORAGE_S3_SECRET_ACCESS_KEY_FILE: .* is a hidden value; allowed: /);
  });

  test('wins over the configuration file', () => {
    const config = file('berth.yaml', 'database: { url: postgres://other }\n');
    const env = { BERTH_DATABASE_URL_FILE: file('url', URL) };
    assert.equal(loadConfig({ file: config, env }).config.database.url, URL);
  });

  test('that is invalid is not shown in the mistake', () => {
    const env = { BERTH_DATABASE_URL_FILE: file('url', URL.replace('postgres', 'mysql')) };
    const mistakes = mistakesOf(env);
    assert.match(
      mistakes.join(),
      /^BERTH_DATABASE_URL_FILE: database\.url is a hidden value; allowed: postgres:/,
    );
    assert.ok(!mistakes.join().includes('hunter2'));
  });

  test('is a mistake when its variable is set too', () => {
    const env = { BERTH_DATABASE_URL: URL, BERTH_DATABASE_URL_FILE: file('url', URL) };
    const expected = ['BERTH_DATABASE_URL_FILE: BERTH_DATABASE_URL is given too; allowed: one of the two'];
    assert.deepEqual(mistakesOf(env), expected);
    assert.deepEqual(mistakesOf(Object.fromEntries(Object.entries(env).reverse())), expected);
  });

  test('that cannot be read is reported without the file name, which may itself be the secret', () => {
    for (const [name, reason] of [
      [URL, 'there is no such file'],
      [folder, 'it is a directory'],
    ] as const) {
      assert.deepEqual(mistakesOf({ BERTH_DATABASE_URL_FILE: name }), [
        `BERTH_DATABASE_URL_FILE: the file cannot be read: ${reason}`,
      ]);
    }
  });
});

test('a secret whose file cannot be read is not reported as missing too', () => {
  const env = {
    BERTH_STORAGE_TYPE: 's3',
    BERTH_STORAGE_S3_BUCKET: 'registry',
    BERTH_STORAGE_S3_ACCESS_KEY_ID: 'AKIA',
    BERTH_STORAGE_S3_SECRET_ACCESS_KEY_FILE: join(folder, 'nothing'),
  };
  assert.deepEqual(mistakesOf(env), [
    'BERTH_STORAGE_S3_SECRET_ACCESS_KEY_FILE: the file cannot be read: there is no such file',
  ]);
});

test('only secrets have file variables', () => {
  const env = { BERTH_DATA_FILE: file('data', '/data') };
  assert.deepEqual(mistakesOf(env), ['BERTH_DATA_FILE: unknown variable']);
});

test('a mistyped file variable of a secret is reported without its value', () => {
  assert.deepEqual(mistakesOf({ BERTH_DATABASE_URI_FILE: URL }), [
    'BERTH_DATABASE_URI_FILE: unknown variable; did you mean BERTH_DATABASE_URL_FILE?',
  ]);
});
