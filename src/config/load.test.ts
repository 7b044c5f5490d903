import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, describe, test } from 'node:test';
import { z } from 'zod';
import { defaultFiles, load, loadConfig, type Sources } from './load.ts';
import { ConfigError } from './mistake.ts';
import { configSchema } from './schema.ts';
import { settingsOf } from './settings.ts';

const folder = mkdtempSync(join(tmpdir(), 'berth-config-'));
const file = join(folder, 'berth.yaml');
after(() => rmSync(folder, { recursive: true }));

interface Case extends Omit<Sources, 'env'> {
  readonly yaml?: string;
  readonly env?: Sources['env'];
}

function sources({ yaml, env = {}, ...rest }: Case): Sources {
  if (yaml === undefined) return { env, ...rest };
  writeFileSync(file, yaml);
  return { file, env, ...rest };
}

function mistakesOf(run: () => unknown): string[] {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.mistakes.map((mistake) => mistake.replaceAll(file, 'berth.yaml'));
  }
  return [];
}

test('without a file, variables or flags every setting has its default', () => {
  assert.deepEqual(loadConfig({ env: {} }), {
    config: {
      listen: { host: '127.0.0.1', port: 5000 },
      data: resolve('data'),
      database: { poolSize: 10 },
      storage: { type: 'filesystem' },
      workers: 1,
      anonymous: 'push',
      absoluteLocations: false,
      trustedProxies: [],
      forwardedHeaders: 'x-forwarded',
      admin: { name: 'admin' },
      access: {
        tokenLifetime: 300_000,
        refreshLifetime: 7_776_000_000,
        passwordLogin: true,
        createNamespaces: 'administrators',
        namespacesPerUser: 10,
      },
      signOn: undefined,
      tokenServer: undefined,
      log: { level: 'info', format: 'auto', access: true },
      manifests: { maxSize: 4_194_304, missingReferences: 'children' },
      tags: { immutable: [] },
      deletes: { enabled: true, keepUnknownFor: 2_592_000_000 },
      trash: { keepFor: 7 * 24 * 3_600_000 },
      aliases: { keepFor: 90 * 24 * 3_600_000 },
      quotas: { namespace: { bytes: 0, tags: 0, repositories: 0 }, repository: { bytes: 0, tags: 0 } },
      usage: { keepFor: 34_560_000_000 },
      gc: {
        grace: 86_400_000,
        blobsPerSecond: 0,
        bytesPerSecond: 0,
        maxPercent: 50,
        searchEvery: 604_800_000,
      },
      scrub: { every: 30 * 24 * 3_600_000, bytesPerSecond: 10 * 1024 * 1024 },
      uploads: { expireAfter: 86_400_000 },
      limits: {
        idleTimeout: 60_000,
        minimumRate: 1024,
        maxConnections: 10_000,
        connectionsPerNetwork: 1_000,
        loginsPerAddress: 30,
        loginsPerAccount: 10,
        uploadsPerAccount: 1_000,
        stagedBytesPerAccount: 2 ** 40,
      },
      rateLimits: { pullWindow: 21_600_000 },
      audit: { keepFor: 7_776_000_000, pulls: false },
      backup: { every: 86_400_000, keep: 7, blobs: false },
      history: { keepFor: 31_536_000_000 },
      retention: { every: 86_400_000 },
      shutdown: { drainTimeout: 30_000 },
    },
    file: undefined,
    origins: new Map(),
  });
});

test('the default file is berth.yaml in the working directory, else in /etc/berth', () => {
  assert.deepEqual(defaultFiles, ['berth.yaml', '/etc/berth/berth.yaml']);
  const [own, machine, named] = ['own.yaml', 'machine.yaml', 'named.yaml'].map((name) => join(folder, name));
  const chosen = (sources: Partial<Sources> = {}) => {
    const { file, config } = loadConfig({ env: {}, places: [own, machine] as string[], ...sources });
    return [file, config.workers];
  };
  assert.deepEqual(chosen(), [undefined, 1]);
  writeFileSync(machine as string, 'workers: 2');
  assert.deepEqual(chosen(), [machine, 2]);
  writeFileSync(own as string, 'workers: 3');
  assert.deepEqual(chosen(), [own, 3]);
  writeFileSync(named as string, 'workers: 4');
  assert.deepEqual(chosen({ env: { BERTH_CONFIG: named } }), [named, 4]);
  assert.deepEqual(chosen({ file: named, env: { BERTH_CONFIG: 'another' } }), [named, 4]);
});

test('every key can be set in the file', () => {
  const { config } = loadConfig(
    sources({
      yaml: `
listen: "[::]:443"
data: /srv/berth
database: { url: "postgresql://berth:hunter2@db/berth", poolSize: 20 }
storage:
  type: s3
  s3:
    bucket: registry
    region: eu-central-1
    endpoint: https://s3.example.com/
    pathStyle: false
    accessKeyId: AKIA
    secretAccessKey: hunter2
    sessionToken: hunter3
    prefix: berth
    serverSideEncryption: aws:kms
    kmsKeyId: alias/berth
    storageClass: STANDARD_IA
    redirect: false
    redirectExpiry: 10s
    streamTo:
      - 10.0.0.0/8
      - fd00::1
    cdnUrl: https://cdn.example.com/registry
workers: 4
anonymous: pull
externalUrl: https://registry.example.com/
absoluteLocations: true
trustedProxies: [10.0.0.0/8, 192.0.2.7]
forwardedHeaders: forwarded
admin: { name: root, password: hunter4 }
access:
  tokenLifetime: 2m
  refreshLifetime: 30d
  passwordLogin: false
  createNamespaces: users
  namespacesPerUser: 3
signOn:
  issuer: https://login.example.com/realms/acme
  clientId: berth
  clientSecret: hunter5
  scopes: [openid, groups]
  usernameClaim: nickname
  groupsClaim: roles
  administratorsGroup: Registry Administrators
tokenServer:
  realm: https://auth.example.com/token
  service: registry.example.com
  issuer: Acme auth
  certificates: /auth/root.pem
  keys: /auth/keys.json
tls: { certificate: /tls/tls.crt, key: /tls/tls.key }
log:
  level: warn
  format: json
  access: false
operations:
  listen: 0.0.0.0:9090
manifests: { maxSize: 8388608, missingReferences: none }
tags: { immutable: [v*, 'semver  >=1.0.0 except *-dev'] }
deletes: { enabled: false, keepUnknownFor: 2d }
trash: { keepFor: 1d }
aliases: { keepFor: 2d }
quotas: { namespace: { bytes: 1GiB, tags: 2, repositories: 3 }, repository: { bytes: 4KiB, tags: 5 } }
usage: { keepFor: 3d }
gc: { grace: 12h, blobsPerSecond: 100, bytesPerSecond: 1MiB, maxPercent: 20, searchEvery: 1d }
scrub: { every: 7d, bytesPerSecond: 1MiB }
uploads: { expireAfter: 90m }
limits: { idleTimeout: 500ms, minimumRate: 0, maxConnections: 1, connectionsPerNetwork: 9, loginsPerAddress: 2, loginsPerAccount: 3, uploadsPerAccount: 4, stagedBytesPerAccount: 5MiB }
rateLimits: { requestsPerAddress: 4, requestsPerUser: 5, pullsPerAddress: 6, pullsPerUser: 7, pullWindow: 1h }
audit: { keepFor: 1d, pulls: true }
backup: { to: 's3://backups/berth', every: 6h, keep: 3, blobs: true }
history: { keepFor: 2d }
retention: { every: 12h }
shutdown: { drainTimeout: 0s }
`,
    }),
  );
  assert.deepEqual(config, {
    listen: { host: '::', port: 443 },
    data: '/srv/berth',
    database: { url: 'postgresql://berth:hunter2@db/berth', poolSize: 20 },
    storage: {
      type: 's3',
      s3: {
        bucket: 'registry',
        region: 'eu-central-1',
        endpoint: 'https://s3.example.com',
        pathStyle: false,
        accessKeyId: 'AKIA',
        secretAccessKey: 'hunter2',
        sessionToken: 'hunter3',
        prefix: 'berth/',
        serverSideEncryption: 'aws:kms',
        kmsKeyId: 'alias/berth',
        storageClass: 'STANDARD_IA',
        redirect: false,
        redirectExpiry: 10_000,
        streamTo: [
          { address: '10.0.0.0', prefix: 8, family: 'ipv4' },
          { address: 'fd00::1', prefix: 128, family: 'ipv6' },
        ],
        cdnUrl: 'https://cdn.example.com/registry',
      },
    },
    workers: 4,
    anonymous: 'pull',
    externalUrl: 'https://registry.example.com',
    absoluteLocations: true,
    trustedProxies: [
      { address: '10.0.0.0', prefix: 8, family: 'ipv4' },
      { address: '192.0.2.7', prefix: 32, family: 'ipv4' },
    ],
    forwardedHeaders: 'forwarded',
    admin: { name: 'root', password: 'hunter4' },
    access: {
      tokenLifetime: 120_000,
      refreshLifetime: 2_592_000_000,
      passwordLogin: false,
      createNamespaces: 'users',
      namespacesPerUser: 3,
    },
    signOn: {
      issuer: 'https://login.example.com/realms/acme',
      clientId: 'berth',
      clientSecret: 'hunter5',
      scopes: ['openid', 'groups'],
      usernameClaim: 'nickname',
      groupsClaim: 'roles',
      administratorsGroup: 'Registry Administrators',
    },
    tokenServer: {
      realm: 'https://auth.example.com/token',
      service: 'registry.example.com',
      issuer: 'Acme auth',
      certificates: '/auth/root.pem',
      keys: '/auth/keys.json',
    },
    tls: { certificate: '/tls/tls.crt', key: '/tls/tls.key' },
    log: { level: 'warn', format: 'json', access: false },
    operations: { listen: { host: '0.0.0.0', port: 9090 } },
    manifests: { maxSize: 8_388_608, missingReferences: 'none' },
    tags: { immutable: ['v*', 'semver >=1.0.0 except *-dev'] },
    deletes: { enabled: false, keepUnknownFor: 172_800_000 },
    trash: { keepFor: 24 * 3_600_000 },
    aliases: { keepFor: 2 * 24 * 3_600_000 },
    quotas: {
      namespace: { bytes: 1_073_741_824, tags: 2, repositories: 3 },
      repository: { bytes: 4096, tags: 5 },
    },
    usage: { keepFor: 259_200_000 },
    gc: {
      grace: 43_200_000,
      blobsPerSecond: 100,
      bytesPerSecond: 1_048_576,
      maxPercent: 20,
      searchEvery: 86_400_000,
    },
    scrub: { every: 7 * 24 * 3_600_000, bytesPerSecond: 1024 * 1024 },
    uploads: { expireAfter: 5_400_000 },
    limits: {
      idleTimeout: 500,
      minimumRate: 0,
      maxConnections: 1,
      connectionsPerNetwork: 9,
      loginsPerAddress: 2,
      loginsPerAccount: 3,
      uploadsPerAccount: 4,
      stagedBytesPerAccount: 5_242_880,
    },
    rateLimits: {
      requestsPerAddress: 4,
      requestsPerUser: 5,
      pullsPerAddress: 6,
      pullsPerUser: 7,
      pullWindow: 3_600_000,
    },
    audit: { keepFor: 86_400_000, pulls: true },
    backup: {
      to: { type: 'bucket', bucket: 'backups', prefix: 'berth/' },
      ...{ every: 21_600_000, keep: 3, blobs: true },
    },
    history: { keepFor: 172_800_000 },
    retention: { every: 43_200_000 },
    shutdown: { drainTimeout: 0 },
  });
});

test('every key has its own variable', () => {
  const examples: Record<string, string> = {
    listen: '127.0.0.1:1',
    data: '/data',
    'database.url': 'postgres://db/berth',
    'database.poolSize': '3',
    'storage.type': 's3',
    'storage.s3.bucket': 'registry',
    'storage.s3.region': 'garage',
    'storage.s3.endpoint': 'http://127.0.0.1:9000',
    'storage.s3.pathStyle': 'false',
    'storage.s3.accessKeyId': 'AKIA',
    'storage.s3.secretAccessKey': '12345678',
    'storage.s3.sessionToken': 'token',
    'storage.s3.prefix': 'a/b/',
    'storage.s3.serverSideEncryption': 'aws:kms',
    'storage.s3.kmsKeyId': 'key',
    'storage.s3.storageClass': 'REDUCED_REDUNDANCY',
    'storage.s3.redirect': 'false',
    'storage.s3.redirectExpiry': '1h',
    'storage.s3.streamTo': '10.0.0.0/8, ::1',
    'storage.s3.cdnUrl': 'https://cdn.example.com',
    workers: '2',
    anonymous: 'pull',
    externalUrl: 'https://registry.example.com',
    absoluteLocations: 'true',
    trustedProxies: '10.0.0.0/8, ::1',
    forwardedHeaders: 'forwarded',
    'admin.name': 'root',
    'admin.password': '12345678',
    'access.tokenLifetime': '1h',
    'access.refreshLifetime': '1h',
    'access.passwordLogin': 'false',
    'access.createNamespaces': 'users',
    'access.namespacesPerUser': '3',
    'signOn.issuer': 'https://login.example.com',
    'signOn.clientId': 'berth',
    'signOn.clientSecret': 'secret',
    'signOn.scopes': 'openid, groups',
    'signOn.usernameClaim': 'sub',
    'signOn.groupsClaim': 'roles',
    'signOn.administratorsGroup': 'root',
    'tokenServer.realm': 'https://auth.example.com/token',
    'tokenServer.service': 'registry',
    'tokenServer.issuer': 'auth',
    'tokenServer.certificates': '/root.pem',
    'tokenServer.keys': '/keys.json',
    'tls.certificate': '/crt',
    'tls.key': '/key',
    'log.level': 'debug',
    'log.format': 'json',
    'log.access': 'false',
    'operations.listen': '127.0.0.1:2',
    'manifests.maxSize': '5MiB',
    'manifests.missingReferences': 'all',
    'tags.immutable': 'v*, semver except *-dev *-rc',
    'deletes.enabled': 'false',
    'deletes.keepUnknownFor': '3d',
    'trash.keepFor': '5h',
    'aliases.keepFor': '6h',
    'quotas.namespace.bytes': '1GiB',
    'quotas.namespace.tags': '6',
    'quotas.namespace.repositories': '7',
    'quotas.repository.bytes': '2MiB',
    'quotas.repository.tags': '8',
    'usage.keepFor': '2d',
    'gc.grace': '1h',
    'gc.blobsPerSecond': '7',
    'gc.bytesPerSecond': '8MiB',
    'gc.maxPercent': '9',
    'gc.searchEvery': '2h',
    'scrub.every': '3h',
    'scrub.bytesPerSecond': '9MiB',
    'uploads.expireAfter': '2h',
    'limits.idleTimeout': '2m',
    'limits.minimumRate': '2048',
    'limits.maxConnections': '5',
    'limits.connectionsPerNetwork': '4',
    'limits.loginsPerAddress': '6',
    'limits.loginsPerAccount': '7',
    'limits.uploadsPerAccount': '8',
    'limits.stagedBytesPerAccount': '9MiB',
    'rateLimits.requestsPerAddress': '8',
    'rateLimits.requestsPerUser': '9',
    'rateLimits.pullsPerAddress': '10',
    'rateLimits.pullsPerUser': '11',
    'rateLimits.pullWindow': '1m',
    'audit.keepFor': '1h',
    'audit.pulls': 'true',
    'backup.to': '/backups',
    'backup.every': '1m',
    'backup.keep': '2',
    'backup.blobs': 'true',
    'history.keepFor': '2h',
    'retention.every': '1h',
    'shutdown.drainTimeout': '1s',
  };
  const { settings } = settingsOf(configSchema);
  assert.deepEqual(settings.map(({ key }) => key).sort(), Object.keys(examples).sort());
  const env = Object.fromEntries(settings.map(({ key, env }) => [env, examples[key]]));
  assert.equal(Object.keys(env).length, settings.length, 'two keys share a variable');
  const { config, origins } = loadConfig({ env });
  assert.deepEqual(origins, new Map(settings.map(({ key, env }) => [key, env])));
  assert.deepEqual(config.log, { level: 'debug', format: 'json', access: false });
  assert.deepEqual(config.limits, {
    idleTimeout: 120_000,
    minimumRate: 2048,
    maxConnections: 5,
    connectionsPerNetwork: 4,
    loginsPerAddress: 6,
    loginsPerAccount: 7,
    uploadsPerAccount: 8,
    stagedBytesPerAccount: 9_437_184,
  });
  assert.deepEqual(config.signOn?.scopes, ['openid', 'groups']);
});

test('a flag wins over a variable, a variable over the file, the file over the default', () => {
  const yaml = 'log:\n  level: warn\n';
  const env = { BERTH_LOG_LEVEL: 'error' };
  const flags = { 'log.level': 'debug' };
  const level = (given: Case) => loadConfig(sources(given)).config.log.level;
  assert.equal(level({ yaml, env, flags }), 'debug');
  assert.equal(level({ yaml, env }), 'error');
  assert.equal(level({ yaml }), 'warn');
  assert.equal(level({}), 'info');
});

test('workers has a flag, database.url has none', () => {
  const { config } = loadConfig({ env: {}, flags: { workers: '3', 'database.url': 'postgres://db' } });
  assert.equal(config.workers, 3);
  assert.equal(config.database.url, undefined);
});

test('the file named by the flag wins over the one named by BERTH_CONFIG', () => {
  const named = join(folder, 'named.yaml');
  writeFileSync(named, 'log: { level: warn }');
  assert.equal(loadConfig({ env: { BERTH_CONFIG: named } }).config.log.level, 'warn');
  const both = sources({ yaml: 'log: { level: error }', env: { BERTH_CONFIG: named } });
  assert.equal(loadConfig(both).config.log.level, 'error');
});

test('the configuration is deeply frozen', () => {
  const frozen = (value: unknown): boolean =>
    typeof value !== 'object' || (Object.isFrozen(value) && Object.values(value!).every(frozen));
  const env = {
    BERTH_TLS_KEY: 'a',
    BERTH_TLS_CERTIFICATE: 'b',
    BERTH_OPERATIONS_LISTEN: '[::1]:1',
    BERTH_STORAGE_TYPE: 's3',
    BERTH_STORAGE_S3_BUCKET: 'registry',
    BERTH_STORAGE_S3_STREAM_TO: '10.0.0.0/8',
    BERTH_TRUSTED_PROXIES: '10.0.0.0/8',
    BERTH_SIGN_ON_ISSUER: 'https://login.example.com',
    BERTH_SIGN_ON_CLIENT_ID: 'berth',
    BERTH_TOKEN_SERVER_REALM: 'https://auth.example.com/token',
    BERTH_TOKEN_SERVER_SERVICE: 'registry',
    BERTH_TOKEN_SERVER_ISSUER: 'auth',
    BERTH_TOKEN_SERVER_KEYS: '/keys.json',
  };
  assert.ok(frozen(loadConfig({ env }).config));
  assert.ok(frozen(configSchema.parse({ listen: '127.0.0.1:0' })));
});

test('an empty file and an empty section are valid', () => {
  for (const yaml of ['', '# nothing\n', 'log:\n  # level: debug\n', '---\n']) {
    assert.equal(loadConfig(sources({ yaml })).config.log.level, 'info', yaml);
  }
});

test('anchors and aliases are followed', () => {
  const yaml = 'log: { access: &no false }\ndeletes: { enabled: *no }\n';
  assert.equal(loadConfig(sources({ yaml })).config.deletes.enabled, false);
});

test("ignores Kubernetes' variables for a Service named berth", () => {
  const env = {
    BERTH_SERVICE_HOST: '10.0.0.11',
    BERTH_SERVICE_PORT: '5000',
    BERTH_SERVICE_PORT_HTTP: '5000',
    BERTH_PORT: 'tcp://10.0.0.11:5000',
    BERTH_PORT_5000_TCP: 'tcp://10.0.0.11:5000',
    BERTH_PORT_5000_TCP_PROTO: 'tcp',
    BERTH_PORT_5000_TCP_PORT: '5000',
    BERTH_PORT_5000_TCP_ADDR: '10.0.0.11',
    BERTH_METRICS_SERVICE_HOST: '10.0.0.12',
    BERTH_METRICS_PORT: 'tcp://10.0.0.12:9090',
  };
  assert.deepEqual(loadConfig({ env }).origins, new Map());
});

const TOP =
  'listen, data, workers, anonymous, externalUrl, absoluteLocations, trustedProxies, forwardedHeaders, database, storage, admin, access, signOn, tokenServer, ' +
  'tls, log, operations, manifests, tags, deletes, quotas, usage, gc, scrub, trash, uploads, limits, rateLimits, audit, backup, aliases, history, retention, shutdown';
const NETWORKS =
  'a list of networks or addresses, such as 10.0.0.0/8, 192.0.2.7 or fd00::/8; comma-separated in a variable';
const TAG_RULES =
  'a list of rules; comma-separated in a variable; a rule is a pattern (v*, where * matches any characters), semver (every semantic version) or semver >=1.0.0 <2.0.0 (those in a range), each perhaps with exceptions (v* except *-dev nightly)';
const URL_OF_THE_WEB =
  'an http:// or https:// URL of a host and perhaps a path, without credentials, such as https://example.com/path';
const LEVELS = 'trace, debug, info, warn, error or silent';
const ADDRESS = 'HOST:PORT, such as 127.0.0.1:5000, localhost:5000 or "[::1]:5000"; port 0 is any free port';

const MISTAKES: Record<string, Case & { expected: string[] }> = {
  'a value in the file': {
    yaml: 'listen: 127.0.0.1:5000\nlog:\n  level: loud\n',
    expected: [`berth.yaml:3:10: log.level is "loud"; allowed: ${LEVELS}`],
  },
  'a value in the environment': {
    env: { BERTH_LOG_LEVEL: 'loud' },
    expected: [`BERTH_LOG_LEVEL: log.level is "loud"; allowed: ${LEVELS}`],
  },
  'an empty variable': {
    env: { BERTH_LOG_LEVEL: '' },
    expected: [`BERTH_LOG_LEVEL: log.level is ""; allowed: ${LEVELS}`],
  },
  'a value in a flag': {
    flags: { 'log.level': 'loud' },
    expected: [`--log-level: log.level is "loud"; allowed: ${LEVELS}`],
  },
  'a value that a source of higher precedence overrides': {
    yaml: 'log: { level: loud }\n',
    flags: { 'log.level': 'info' },
    expected: [`berth.yaml:1:15: log.level is "loud"; allowed: ${LEVELS}`],
  },
  'a key without a value': {
    yaml: 'listen:\n',
    expected: [`berth.yaml:1:1: listen is null; allowed: ${ADDRESS}`],
  },
  'a port alone': {
    yaml: 'listen: 5000\n',
    expected: [`berth.yaml:1:9: listen is 5000; allowed: ${ADDRESS}`],
  },
  'a duration without its unit': {
    yaml: 'uploads:\n  expireAfter: 30\n',
    expected: [
      'berth.yaml:2:16: uploads.expireAfter is 30; allowed: a duration from 1s to 365d with its unit, such as 500ms, 30s or 24h',
    ],
  },
  'a size below the minimum of the spec': {
    env: { BERTH_MANIFESTS_MAX_SIZE: '1MiB' },
    expected: [
      'BERTH_MANIFESTS_MAX_SIZE: manifests.maxSize is "1MiB"; allowed: a size from 4MiB to 64MiB, such as 16MiB, 512KiB or a plain number of bytes',
    ],
  },
  'a word as a toggle': {
    env: { BERTH_DELETES_ENABLED: 'yes' },
    expected: ['BERTH_DELETES_ENABLED: deletes.enabled is "yes"; allowed: true or false'],
  },
  'a number out of range': {
    env: { BERTH_LIMITS_MAX_CONNECTIONS: '0' },
    expected: [
      'BERTH_LIMITS_MAX_CONNECTIONS: limits.maxConnections is 0; allowed: a whole number from 1 to 1000000',
    ],
  },
  'a very long value': {
    flags: { 'log.level': 'x'.repeat(100_000) },
    expected: [`--log-level: log.level is "${'x'.repeat(79)}…; allowed: ${LEVELS}`],
  },
  'an unknown key similar to a known one': {
    yaml: 'uploads:\n  expireAftr: 24h\n',
    expected: ['berth.yaml:2:3: unknown key uploads.expireAftr; did you mean uploads.expireAfter?'],
  },
  'an unknown key unlike any other': {
    yaml: 'log:\n  destination: stderr\n',
    expected: ['berth.yaml:2:3: unknown key log.destination; allowed: level, format, access'],
  },
  'a key of the prototype': {
    yaml: '__proto__: { polluted: true }\n',
    expected: [`berth.yaml:1:1: unknown key __proto__; allowed: ${TOP}`],
  },
  'an unknown variable similar to a known one': {
    env: { BERTH_LISTN: 'x' },
    expected: ['BERTH_LISTN: unknown variable; did you mean BERTH_LISTEN?'],
  },
  'an unknown variable unlike any other': {
    env: { BERTH_SOMETHING_ELSE: 'x' },
    expected: ['BERTH_SOMETHING_ELSE: unknown variable'],
  },
  'a port as a variable': {
    env: { BERTH_PORT: '5000' },
    expected: ['BERTH_PORT: unknown variable'],
  },
  'a value as a section': {
    yaml: 'limits: 5\n',
    expected: [
      'berth.yaml:1:9: limits is 5; allowed: the keys idleTimeout, minimumRate, maxConnections, connectionsPerNetwork, loginsPerAddress, loginsPerAccount, uploadsPerAccount, stagedBytesPerAccount',
    ],
  },
  'a file that is a list': {
    yaml: '- listen\n',
    expected: [`berth.yaml:1:1: the file is a hidden value; allowed: the keys ${TOP}`],
  },
  'broken YAML': {
    yaml: 'data: /srv\nlisten: [::1]:5000\n',
    expected: ['berth.yaml:2:14: Unexpected scalar at node end'],
  },
  'the same key twice': {
    yaml: 'data: /a\ndata: /b\n',
    expected: ['berth.yaml:2:1: Map keys must be unique'],
  },
  'two documents': {
    yaml: 'data: /a\n---\ndata: /b\n',
    expected: ['berth.yaml:2:1: Source contains multiple documents; please use YAML.parseAllDocuments()'],
  },
  'a missing file': {
    file: '/nowhere/berth.yaml',
    expected: ['/nowhere/berth.yaml: the file cannot be read: there is no such file'],
  },
  'a file that is a directory': {
    env: { BERTH_CONFIG: '/' },
    expected: ['/: the file cannot be read: it is a directory'],
  },
  'a list instead of one value': {
    yaml: 'log: { level: [info] }\n',
    expected: [`berth.yaml:1:15: log.level is ["info"]; allowed: ${LEVELS}`],
  },
  'one value instead of a list': {
    yaml: 'storage: { type: s3, s3: { bucket: abc, streamTo: 10.0.0.0/8 } }\n',
    expected: [`berth.yaml:1:51: storage.s3.streamTo is "10.0.0.0/8"; allowed: ${NETWORKS}`],
  },
  'a URL of another kind of database, hidden as a secret': {
    env: { BERTH_DATABASE_URL: 'mysql://berth:hunter2@db/berth' },
    expected: [
      'BERTH_DATABASE_URL: database.url is a hidden value; allowed: postgres://USER:PASSWORD@HOST:PORT/DATABASE or the same with postgresql://; special characters in the password are percent-encoded',
    ],
  },
  'a pool of no connections': {
    env: { BERTH_DATABASE_POOL_SIZE: '0' },
    expected: ['BERTH_DATABASE_POOL_SIZE: database.poolSize is 0; allowed: a whole number from 1 to 1000'],
  },
  'too many workers': {
    flags: { workers: '257' },
    expected: ['--workers: workers is 257; allowed: a whole number from 1 to 256'],
  },
  'a certificate without its key': {
    env: { BERTH_TLS_CERTIFICATE: '/crt' },
    expected: [
      'BERTH_TLS_CERTIFICATE: tls.key is missing; allowed: a path, absolute or from the working directory',
    ],
  },
  'an invalid value for anonymous': {
    flags: { listen: '0.0.0.0:5000', anonymous: 'admin' },
    expected: ['--allow-anonymous: anonymous is "admin"; allowed: none, public, pull or push'],
  },
  'a host name as a proxy': {
    env: { BERTH_TRUSTED_PROXIES: '10.0.0.0/8, nginx' },
    expected: [`BERTH_TRUSTED_PROXIES: trustedProxies[1] is "nginx"; allowed: ${NETWORKS}`],
  },
  'a rule for tags': {
    yaml: "tags: { immutable: ['v*', 'v[0-9]*'] }\n",
    expected: [`berth.yaml:1:20: tags.immutable[1] is "v[0-9]*"; allowed: ${TAG_RULES}`],
  },
  'an administrator with an invalid account name': {
    yaml: 'admin: { name: Root }\n',
    expected: [
      'berth.yaml:1:16: admin.name is "Root"; allowed: an account\'s name: lowercase letters and digits, with . _ or - between them',
    ],
  },
  'a password that YAML reads as a number, hidden as a secret': {
    yaml: 'admin: { password: 12345678 }\n',
    expected: [
      'berth.yaml:1:20: admin.password is a hidden value; allowed: text on one line, without leading or trailing spaces; in quotes if YAML would read it as a number',
    ],
  },
  'an external URL with credentials': {
    flags: { externalUrl: 'https://user:hunter2@registry.example' },
    expected: [`--external-url: externalUrl is "https://…@registry.example"; allowed: ${URL_OF_THE_WEB}`],
  },
  'single sign-on without an issuer': {
    env: { BERTH_SIGN_ON_CLIENT_ID: 'berth' },
    expected: [`BERTH_SIGN_ON_CLIENT_ID: signOn.issuer is missing; allowed: ${URL_OF_THE_WEB}`],
  },
  'single sign-on without a client id': {
    yaml: 'signOn: { issuer: "https://login.example.com" }\n',
    expected: [
      'berth.yaml:1:19: signOn.clientId is missing; allowed: text on one line, without leading or trailing spaces',
    ],
  },
  'a token server without a realm': {
    yaml: 'tokenServer:\n  issuer: auth\n  keys: /keys.json\n',
    expected: [`berth.yaml:2:11: tokenServer.realm is missing; allowed: ${URL_OF_THE_WEB}`],
  },
  'a token server without an issuer': {
    env: {
      BERTH_TOKEN_SERVER_REALM: 'https://auth.example.com/token',
      BERTH_TOKEN_SERVER_SERVICE: 'registry',
      BERTH_TOKEN_SERVER_KEYS: '/keys.json',
    },
    expected: [
      'BERTH_TOKEN_SERVER_REALM: tokenServer.issuer is missing; allowed: text on one line, without leading or trailing spaces',
    ],
  },
  'a token server without keys': {
    env: {
      BERTH_TOKEN_SERVER_REALM: 'https://auth.example.com/token',
      BERTH_TOKEN_SERVER_SERVICE: 'registry',
      BERTH_TOKEN_SERVER_ISSUER: 'auth',
    },
    expected: [
      'BERTH_TOKEN_SERVER_REALM: tokenServer.certificates is missing; allowed: a path, absolute or from the working directory',
    ],
  },
  'several sources at once': {
    yaml: 'mystery: 1\nlog:\n  format: xml\n  access: 1\nlimits:\n  idleTimeout: 0s\n',
    env: { BERTH_LOG_LEVEL: 'loud', BERTH_LISTN: '', PATH: '/bin' },
    expected: [
      'BERTH_LISTN: unknown variable; did you mean BERTH_LISTEN?',
      `BERTH_LOG_LEVEL: log.level is "loud"; allowed: ${LEVELS}`,
      `berth.yaml:1:1: unknown key mystery; allowed: ${TOP}`,
      'berth.yaml:3:11: log.format is "xml"; allowed: auto, json or pretty',
      'berth.yaml:4:11: log.access is 1; allowed: true or false',
      'berth.yaml:6:16: limits.idleTimeout is "0s"; allowed: a duration from 100ms to 24h with its unit, such as 500ms, 30s or 24h',
    ],
  },
};

describe('a mistake names its place, the value found and the allowed values:', () => {
  for (const [name, { expected, ...given }] of Object.entries(MISTAKES)) {
    test(name, () => {
      assert.deepEqual(
        mistakesOf(() => loadConfig(sources(given))),
        expected,
      );
    });
  }
});

describe('anonymous', () => {
  for (const [listen, anonymous, expected] of [
    ['127.0.0.1:0', undefined, 'push'],
    ['localhost:0', undefined, 'push'],
    ['[::1]:0', undefined, 'push'],
    ['0.0.0.0:0', undefined, 'public'],
    ['[::]:0', undefined, 'public'],
    ['10.0.0.1:0', undefined, 'public'],
    ['registry.lan:0', undefined, 'public'],
    ['127.0.0.1:0', 'pull', 'pull'],
    ['127.0.0.1:0', 'none', 'none'],
    ['127.0.0.1:0', 'public', 'public'],
    ['0.0.0.0:0', 'none', 'none'],
    ['0.0.0.0:0', 'pull', 'pull'],
    ['[::]:0', 'push', 'push'],
  ] as const) {
    test(`is ${expected} on ${listen} ${anonymous ? `when set to ${anonymous}` : 'by default'}`, () => {
      const flags = { listen, ...(anonymous && { anonymous }) };
      assert.equal(loadConfig({ env: {}, flags }).config.anonymous, expected);
    });
  }
});

describe('a secret', () => {
  const schema = z.strictObject({
    database: z.strictObject({
      url: z.url().meta({ description: 'The database.', allowed: 'a URL', writeOnly: true }),
    }),
  });

  test('is not shown in the mistake about it', () => {
    const secret = 'postgres//user:hunter2@db';
    for (const given of [
      { env: { BERTH_DATABASE_URL: secret } },
      { yaml: `database:\n  url: ${secret}\n` },
      { yaml: `database: ${secret}\n` },
      { yaml: `- ${secret}\n` },
    ]) {
      const [mistake, ...others] = mistakesOf(() => load(schema, sources(given)));
      assert.match(mistake!, / is a hidden value; allowed: /);
      assert.ok(![mistake, ...others].join().includes('hunter2'));
    }
  });

  test('of the schema is shown in no mistake, whatever its source and form', () => {
    const canary = 'hunter2';
    const secrets = settingsOf(configSchema).settings.filter(({ writeOnly }) => writeOnly);
    assert.ok(secrets.length >= 3);
    for (const { key, env, envFile } of secrets) {
      const wrong = ` ${canary}\n`;
      const secretFile = join(folder, 'secret');
      writeFileSync(secretFile, `${wrong}\n`);
      const yaml = (value: unknown) =>
        JSON.stringify(key.split('.').reduceRight((inner, name) => ({ [name]: inner }), value));
      const section = key.slice(0, key.lastIndexOf('.'));
      for (const given of [
        { env: { [env]: wrong } },
        { env: { [envFile!]: secretFile } },
        { env: { [envFile!]: canary } },
        { env: { [`${env}S`]: canary } },
        { env: { [env]: canary, [envFile!]: canary } },
        { yaml: yaml(wrong) },
        { yaml: yaml([canary]) },
        { yaml: yaml({ inner: canary }) },
        { yaml: yaml(wrong).replaceAll(`"${key.split('.').at(-1)}"`, '"strange"') },
        { yaml: `${section.split('.')[0]}: ${canary}\n` },
        { yaml: `- ${canary}\n` },
        { yaml: yaml(canary), env: { BERTH_SIGN_ON_SCOPES: ',', BERTH_STORAGE_TYPE: 'filesystem' } },
      ]) {
        const mistakes = mistakesOf(() => loadConfig(sources(given)));
        assert.ok(mistakes.length > 0, JSON.stringify(given));
        assert.ok(!mistakes.join().includes(canary), mistakes.join());
      }
    }
  });

  test('is loaded like any other value', () => {
    const url = 'postgres://user:hunter2@db';
    assert.equal(load(schema, { env: { BERTH_DATABASE_URL: url } }).config.database.url, url);
  });

  test('that no source has is reported as missing, without a place', () => {
    const top = z.strictObject({ token: z.string().meta({ allowed: 'a token', writeOnly: true }) });
    assert.deepEqual(
      mistakesOf(() => load(top, { env: {} })),
      ['token is missing; allowed: a token'],
    );
  });
});
