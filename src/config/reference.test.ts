import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { jsonSchema, referencePage } from './reference.ts';
import { configSchema } from './schema.ts';
import { envName, settingsOf } from './settings.ts';

for (const [page, command, made] of [
  ['config.md', 'reference', referencePage(configSchema)],
  ['config.schema.json', 'schema', jsonSchema(configSchema)],
] as const) {
  test(`docs/reference/${page} is up to date with the schema`, () => {
    const written = readFileSync(new URL(`../../docs/reference/${page}`, import.meta.url), 'utf8');
    assert.equal(written, made, `node src/main.ts config ${command} > docs/reference/${page}`);
  });
}

const secretFiles = [
  'BERTH_ADMIN_PASSWORD_FILE',
  'BERTH_DATABASE_URL_FILE',
  'BERTH_SIGN_ON_CLIENT_SECRET_FILE',
  'BERTH_STORAGE_S3_SECRET_ACCESS_KEY_FILE',
  'BERTH_STORAGE_S3_SESSION_TOKEN_FILE',
];

test('every setting has a one-sentence description and its allowed values', () => {
  for (const { key, description, allowed } of settingsOf(configSchema).settings) {
    assert.match(description ?? '', /^[A-Z][^\n]+\.$/, key);
    assert.ok(allowed, key);
  }
});

test('the reference names the file variables of all secrets, and no others', () => {
  const page = referencePage(configSchema);
  const named = new Set([...page.matchAll(/BERTH_\w+_FILE/g)].map(([name]) => name));
  assert.deepEqual(named, new Set(secretFiles));
});

test('a variable is named after its key', () => {
  assert.equal(envName('listen'), 'BERTH_LISTEN');
  assert.equal(envName('uploads.expireAfter'), 'BERTH_UPLOADS_EXPIRE_AFTER');
  assert.equal(envName('storage.s3.accessKeyId'), 'BERTH_STORAGE_S3_ACCESS_KEY_ID');
});
