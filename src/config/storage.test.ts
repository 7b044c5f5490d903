import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { loadConfig } from './load.ts';
import { ConfigError } from './mistake.ts';
import { configSchema } from './schema.ts';

type Variables = Record<string, string>;

const S3 = { TYPE: 's3', S3_BUCKET: 'registry' };

/** Variables of the section, such as `{ TYPE: 's3', S3_BUCKET: 'registry' }`, with their prefix. */
function variables(given: Variables): Variables {
  return Object.fromEntries(Object.entries(given).map(([name, text]) => [`BERTH_STORAGE_${name}`, text]));
}

function storageOf(given: Variables) {
  return loadConfig({ env: variables(given) }).config.storage;
}

function s3Of(given: Variables) {
  const storage = storageOf({ ...S3, ...given });
  assert.equal(storage.type, 's3');
  return storage.s3;
}

function mistakesOf(env: Variables): readonly string[] {
  try {
    loadConfig({ env });
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.mistakes;
  }
  return [];
}

test('s3 needs only a bucket', () => {
  assert.deepEqual(storageOf(S3), {
    type: 's3',
    s3: {
      bucket: 'registry',
      region: 'us-east-1',
      pathStyle: false,
      prefix: '',
      redirect: true,
      redirectExpiry: 300_000,
      streamTo: [],
    },
  });
});

test('pathStyle defaults to true with an endpoint', () => {
  const endpoint = { S3_ENDPOINT: 'http://127.0.0.1:9000' };
  assert.equal(s3Of({}).pathStyle, false);
  assert.equal(s3Of({ S3_PATH_STYLE: 'true' }).pathStyle, true);
  assert.equal(s3Of(endpoint).pathStyle, true);
  assert.equal(s3Of({ ...endpoint, S3_PATH_STYLE: 'false' }).pathStyle, false);
});

test('the schema can be parsed without the loader', () => {
  const { storage } = configSchema.parse({ storage: { type: 's3', s3: { bucket: 'registry' } } });
  assert.equal(storage.type === 's3' && storage.s3.bucket, 'registry');
  assert.throws(() => configSchema.parse({ storage: { type: 's3' } }));
  assert.throws(() => configSchema.parse({ storage: { s3: { bucket: 'registry' } } }));
});

describe('a prefix is empty or ends with one slash:', () => {
  for (const [given, expected] of [
    ['', ''],
    ['berth', 'berth/'],
    ['berth/', 'berth/'],
    ['a.b/c_d=1', 'a.b/c_d=1/'],
  ] as const) {
    test(`${JSON.stringify(given)} is ${JSON.stringify(expected)}`, () => {
      assert.equal(s3Of({ S3_PREFIX: given }).prefix, expected);
    });
  }
});

test('a list in a variable is comma-separated; empty text is an empty list', () => {
  assert.deepEqual(s3Of({ S3_STREAM_TO: '' }).streamTo, []);
  assert.deepEqual(
    s3Of({ S3_STREAM_TO: '10.0.0.0/8,192.0.2.7, fd00::/8' }).streamTo.map(({ address }) => address),
    ['10.0.0.0', '192.0.2.7', 'fd00::'],
  );
});

describe('refused, with the value in the mistake:', () => {
  for (const [name, key, text] of [
    ['TYPE', 'type', 'gcs'],
    ['S3_BUCKET', 's3.bucket', 'ab'],
    ['S3_BUCKET', 's3.bucket', 'a/b'],
    ['S3_BUCKET', 's3.bucket', '.dot'],
    ['S3_REGION', 's3.region', ''],
    ['S3_REGION', 's3.region', 'eu central'],
    ['S3_ENDPOINT', 's3.endpoint', '127.0.0.1:9000'],
    ['S3_PATH_STYLE', 's3.pathStyle', 'auto'],
    ['S3_ACCESS_KEY_ID', 's3.accessKeyId', 'AKIA '],
    ['S3_PREFIX', 's3.prefix', '/berth'],
    ['S3_PREFIX', 's3.prefix', 'a//b'],
    ['S3_PREFIX', 's3.prefix', 'a/../b'],
    ['S3_PREFIX', 's3.prefix', './b'],
    ['S3_PREFIX', 's3.prefix', '/'],
    ['S3_SERVER_SIDE_ENCRYPTION', 's3.serverSideEncryption', 'aes256'],
    ['S3_KMS_KEY_ID', 's3.kmsKeyId', ''],
    ['S3_STORAGE_CLASS', 's3.storageClass', 'Standard'],
    ['S3_STORAGE_CLASS', 's3.storageClass', 'GLACIER'],
    ['S3_STORAGE_CLASS', 's3.storageClass', 'DEEP_ARCHIVE'],
    ['S3_REDIRECT', 's3.redirect', 'on'],
    ['S3_REDIRECT_EXPIRY', 's3.redirectExpiry', '9s'],
    ['S3_REDIRECT_EXPIRY', 's3.redirectExpiry', '61m'],
    ['S3_CDN_URL', 's3.cdnUrl', 'cdn.example.com'],
  ] as const) {
    test(`storage.${key} ${JSON.stringify(text)}`, () => {
      const env = variables({ ...S3, [name]: text });
      const [mistake = '', ...others] = mistakesOf(env);
      const start = `BERTH_STORAGE_${name}: storage.${key} is ${JSON.stringify(text)}; allowed: `;
      assert.ok(mistake.startsWith(start), mistake);
      assert.deepEqual(others, []);
    });
  }
});

test('allows a storage class that needs no restore, although its name begins with GLACIER', () => {
  assert.equal(s3Of({ S3_STORAGE_CLASS: 'GLACIER_IR' }).storageClass, 'GLACIER_IR');
});

test('a mistake names each invalid entry of a list', () => {
  const env = variables({ ...S3, S3_STREAM_TO: '10.0.0.0/8,lan,10.0.0.0/33' });
  const allowed =
    'a list of networks or addresses, such as 10.0.0.0/8, 192.0.2.7 or fd00::/8; comma-separated in a variable';
  assert.deepEqual(mistakesOf(env), [
    `BERTH_STORAGE_S3_STREAM_TO: storage.s3.streamTo[1] is "lan"; allowed: ${allowed}`,
    `BERTH_STORAGE_S3_STREAM_TO: storage.s3.streamTo[2] is "10.0.0.0/33"; allowed: ${allowed}`,
  ]);
});

test('a mistake hides the credentials in a URL', () => {
  for (const name of ['S3_ENDPOINT', 'S3_CDN_URL']) {
    const env = variables({
      TYPE: 's3',
      S3_BUCKET: 'registry',
      [name]: 'https://AKIA:hunter2@s3.example.com',
    });
    const [mistake] = mistakesOf(env);
    assert.match(mistake!, / is "https:\/\/…@s3\.example\.com"; allowed: /);
  }
});

const IGNORED =
  ', but storage.type is filesystem, which would ignore it; allowed: storage.type s3 (environment BERTH_STORAGE_TYPE) ' +
  'to use the bucket, or nothing below storage.s3';
const BUCKET = "a bucket's name: letters, digits, dots, hyphens and underscores, at least 3";
const ONE_LINE = 'text on one line, without leading or trailing spaces';
const KMS = ', which needs aws:kms; allowed: only with storage.s3.serverSideEncryption aws:kms';

const RULES: Record<string, { given: Variables; expected: string[] }> = {
  's3 without its bucket': {
    given: { TYPE: 's3' },
    expected: [`BERTH_STORAGE_TYPE: storage.s3.bucket is missing; allowed: ${BUCKET}`],
  },
  's3 with all but its bucket': {
    given: { TYPE: 's3', S3_REGION: 'garage' },
    expected: [`BERTH_STORAGE_TYPE: storage.s3.bucket is missing; allowed: ${BUCKET}`],
  },
  'a bucket without s3': {
    given: { S3_BUCKET: 'registry' },
    expected: [`BERTH_STORAGE_S3_BUCKET: storage.s3.bucket is "registry"${IGNORED}`],
  },
  'a setting of the bucket with filesystem': {
    given: { TYPE: 'filesystem', S3_REDIRECT: 'true' },
    expected: [`BERTH_STORAGE_S3_REDIRECT: storage.s3.redirect is true${IGNORED}`],
  },
  'a secret of the bucket without s3': {
    given: { S3_SECRET_ACCESS_KEY: 'hunter2' },
    expected: [`BERTH_STORAGE_S3_SECRET_ACCESS_KEY: storage.s3.secretAccessKey is a hidden value${IGNORED}`],
  },
  'an access key without its secret': {
    given: { ...S3, S3_ACCESS_KEY_ID: 'AKIA' },
    expected: [
      `BERTH_STORAGE_S3_ACCESS_KEY_ID: storage.s3.secretAccessKey is missing; allowed: ${ONE_LINE}; in quotes if YAML would read it as a number`,
    ],
  },
  'a secret without its access key': {
    given: { ...S3, S3_SECRET_ACCESS_KEY: 'hunter2' },
    expected: [`BERTH_STORAGE_S3_SECRET_ACCESS_KEY: storage.s3.accessKeyId is missing; allowed: ${ONE_LINE}`],
  },
  'a session token without an access key': {
    given: { ...S3, S3_SESSION_TOKEN: 'hunter2' },
    expected: [`BERTH_STORAGE_S3_SESSION_TOKEN: storage.s3.accessKeyId is missing; allowed: ${ONE_LINE}`],
  },
  'a key of KMS without encryption': {
    given: { ...S3, S3_KMS_KEY_ID: 'key' },
    expected: [`BERTH_STORAGE_S3_KMS_KEY_ID: storage.s3.kmsKeyId is "key"${KMS}`],
  },
  'a key of KMS with another encryption': {
    given: { ...S3, S3_KMS_KEY_ID: 'key', S3_SERVER_SIDE_ENCRYPTION: 'AES256' },
    expected: [`BERTH_STORAGE_S3_KMS_KEY_ID: storage.s3.kmsKeyId is "key"${KMS}`],
  },
  'an invalid type is not reported with the bucket': {
    given: { ...S3, TYPE: 'S3' },
    expected: ['BERTH_STORAGE_TYPE: storage.type is "S3"; allowed: filesystem or s3'],
  },
  'an invalid secret is not reported as missing too': {
    given: { ...S3, S3_ACCESS_KEY_ID: 'AKIA', S3_SECRET_ACCESS_KEY: 'hunter2\n' },
    expected: [
      `BERTH_STORAGE_S3_SECRET_ACCESS_KEY: storage.s3.secretAccessKey is a hidden value; allowed: ${ONE_LINE}; in quotes if YAML would read it as a number`,
    ],
  },
};

describe('conflicting settings of storage:', () => {
  for (const [name, { given, expected }] of Object.entries(RULES)) {
    test(name, () => {
      assert.deepEqual(mistakesOf(variables(given)), expected);
    });
  }

  test('a mistake in one section does not hide one in another', () => {
    const mistakes = mistakesOf({ ...variables({ TYPE: 's3' }), BERTH_SIGN_ON_CLIENT_ID: 'berth' });
    assert.deepEqual(
      mistakes.map((mistake) => mistake.split(':')[0]),
      ['BERTH_STORAGE_TYPE', 'BERTH_SIGN_ON_CLIENT_ID'],
    );
  });
});
