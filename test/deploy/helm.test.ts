// The chart, rendered by helm: its resources match each other, and Berth accepts the settings that it passes.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments, stringify } from 'yaml';
import manifest from '../../package.json' with { type: 'json' };
import { loadConfig } from '../../src/config/load.ts';
import { chartSchema } from '../support/chart-schema.ts';
import { run } from '../support/command.ts';
import { goTool } from '../support/go-tools.ts';
import { needs } from '../support/needs.ts';
import { testRegistry } from '../support/registry.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const chart = fileURLToPath(new URL('../../deploy/helm/berth', import.meta.url));
const example = (name: string) => join(chart, 'examples', `${name}.yaml`);

// biome-ignore lint/suspicious/noExplicitAny: Kubernetes defines the types of its objects
type Resource = any;

async function helm(...args: string[]): Promise<string> {
  const built = goTool('helm');
  if ('reason' in built) throw new Error(built.reason);
  return run(built.path, args);
}

async function render(t: TestContext, base: string, values: object = {}): Promise<Map<string, Resource>> {
  const file = join(await temporaryDirectory(t), 'values.yaml');
  await writeFile(file, stringify(values));
  const files = ['--values', example(base), '--values', file];
  const text = await helm('template', 'reg', chart, '--namespace', 'registry', ...files);
  const resources = parseAllDocuments(text).map((document) => {
    assert.deepEqual(document.errors, []);
    return document.toJS() as Resource;
  });
  return new Map(resources.map((resource) => [`${resource.kind}/${resource.metadata.name}`, resource]));
}

const podOf = (resources: Map<string, Resource>): Resource =>
  resources.get('Deployment/reg-berth').spec.template;
const berthOf = (resources: Map<string, Resource>): Resource => podOf(resources).spec.containers[0];

/** The configuration that Berth would have in the pod, with made-up values of Secrets. */
function configOf(resources: Map<string, Resource>) {
  const secrets: Record<string, string> = { BERTH_DATABASE_URL: 'postgres://berth@database/berth' };
  const env = berthOf(resources).env.map(({ name, value }: Resource) => [
    name,
    value ?? secrets[name] ?? 'secret',
  ]);
  return loadConfig({ env: Object.fromEntries(env) }).config;
}

test('helm lint accepts the chart', async (t) => {
  if (!needs(t, 'helm')) return;
  for (const name of ['single', 'replicated']) {
    assert.match(await helm('lint', '--strict', chart, '--values', example(name)), /0 chart\(s\) failed/);
  }
  assert.match(
    readFileSync(join(chart, 'Chart.yaml'), 'utf8'),
    new RegExp(`^appVersion: ${manifest.version}$`, 'm'),
  );
});

test('a single pod keeps its data on a volume and is stopped before its replacement starts', async (t) => {
  if (!needs(t, 'helm')) return;
  const resources = await render(t, 'single');
  assert.deepEqual([...resources.keys()].sort(), [
    'Deployment/reg-berth',
    'PersistentVolumeClaim/reg-berth',
    'Service/reg-berth',
    'Service/reg-berth-operations',
    'ServiceAccount/reg-berth',
  ]);
  const { spec } = resources.get('Deployment/reg-berth');
  assert.equal(spec.replicas, 1);
  assert.deepEqual(spec.strategy, { type: 'Recreate' });
  const [volume] = podOf(resources).spec.volumes;
  assert.equal(volume.persistentVolumeClaim.claimName, 'reg-berth');
  assert.deepEqual(berthOf(resources).volumeMounts, [
    { name: volume.name, mountPath: configOf(resources).data },
  ]);
  const claim = resources.get('PersistentVolumeClaim/reg-berth');
  assert.equal(claim.spec.resources.requests.storage, '200Gi');
  assert.equal(claim.metadata.annotations['helm.sh/resource-policy'], 'keep');
});

test('replicas have no data and are replaced one after another', async (t) => {
  if (!needs(t, 'helm')) return;
  const resources = await render(t, 'replicated');
  assert.deepEqual([...resources.keys()].sort(), [
    'Deployment/reg-berth',
    'HorizontalPodAutoscaler/reg-berth',
    'Ingress/reg-berth',
    'PodDisruptionBudget/reg-berth',
    'Service/reg-berth',
    'Service/reg-berth-operations',
    'ServiceAccount/reg-berth',
    'ServiceMonitor/reg-berth',
  ]);
  const { spec } = resources.get('Deployment/reg-berth');
  assert.equal('replicas' in spec, false, 'the autoscaler sets the replicas');
  assert.deepEqual(spec.strategy.rollingUpdate, { maxUnavailable: 0, maxSurge: 1 });
  assert.equal(spec.template.spec.volumes, undefined);
  const { storage, database } = configOf(resources);
  assert.equal(storage.type, 's3');
  assert.ok(database.url);
});

test('resources reference existing resources only', async (t) => {
  if (!needs(t, 'helm')) return;
  const resources = await render(t, 'replicated');
  const { labels } = podOf(resources).metadata;
  const selects = (selector: object, of: Record<string, string>) =>
    Object.entries(selector).every(([key, value]) => of[key] === value);
  const ports = new Map(berthOf(resources).ports.map((port: Resource) => [port.name, port.containerPort]));
  const { listen, operations } = configOf(resources);
  assert.deepEqual(
    ports,
    new Map([
      ['registry', listen.port],
      ['operations', operations?.listen.port],
    ]),
  );

  for (const name of ['Service/reg-berth', 'Service/reg-berth-operations']) {
    const service = resources.get(name);
    assert.ok(selects(service.spec.selector, labels), name);
    for (const { targetPort } of service.spec.ports) assert.ok(ports.has(targetPort), targetPort);
  }
  const deployment = resources.get('Deployment/reg-berth');
  assert.ok(selects(deployment.spec.selector.matchLabels, labels));
  assert.ok(selects(resources.get('PodDisruptionBudget/reg-berth').spec.selector.matchLabels, labels));
  for (const { labelSelector } of deployment.spec.template.spec.topologySpreadConstraints) {
    assert.ok(selects(labelSelector.matchLabels, labels));
  }
  const monitor = resources.get('ServiceMonitor/reg-berth').spec;
  const monitored = [...resources.values()].filter(
    ({ kind, metadata }) => kind === 'Service' && selects(monitor.selector.matchLabels, metadata.labels),
  );
  assert.deepEqual(
    monitored.map(({ metadata }) => metadata.name),
    ['reg-berth-operations'],
  );
  assert.equal(monitored[0].spec.ports[0].name, monitor.endpoints[0].port);
  const backend = resources.get('Ingress/reg-berth').spec.rules[0].http.paths[0].backend.service;
  const {
    ports: [registry],
  } = resources.get(`Service/${backend.name}`).spec;
  assert.equal(backend.port.name, registry.name);
  assert.equal(resources.get('HorizontalPodAutoscaler/reg-berth').spec.scaleTargetRef.name, 'reg-berth');
  assert.equal(
    podOf(resources).spec.serviceAccountName,
    resources.get('ServiceAccount/reg-berth').metadata.name,
  );
});

test('Berth answers on the probed and scraped ports', async (t) => {
  if (!needs(t, 'helm')) return;
  const resources = await render(t, 'replicated');
  const { app } = await testRegistry(t);
  const { startupProbe, livenessProbe, readinessProbe } = berthOf(resources);
  const { endpoints } = resources.get('ServiceMonitor/reg-berth').spec;
  const probes = [startupProbe, livenessProbe, readinessProbe].map(({ httpGet }) => httpGet);
  for (const { path, port } of [...probes, ...endpoints]) {
    assert.equal(port, 'operations');
    assert.equal((await app.http.inject(path)).statusCode, 200, path);
  }
});

test('a pod has no privileges, and time to finish transfers before it is killed', async (t) => {
  if (!needs(t, 'helm')) return;
  for (const [drainTimeout, seconds] of [
    ['1500ms', 1],
    ['45s', 45],
    ['2m', 120],
    ['1h', 3600],
  ] as const) {
    const { spec } = podOf(await render(t, 'single', { config: { shutdown: { drainTimeout } } }));
    assert.equal(spec.terminationGracePeriodSeconds, seconds + 20);
    assert.equal(spec.securityContext.runAsNonRoot, true);
    assert.deepEqual(spec.securityContext.seccompProfile, { type: 'RuntimeDefault' });
    assert.deepEqual(spec.containers[0].securityContext, {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
  }
});

test('anonymous clients may pull public images, and the administrator’s password comes from a Secret', async (t) => {
  if (!needs(t, 'helm')) return;
  for (const example of ['single', 'replicated']) {
    assert.equal(configOf(await render(t, example)).anonymous, 'public');
  }
  const resources = await render(t, 'single', { admin: { existingSecret: 'chosen' } });
  const { valueFrom } = berthOf(resources).env.find(({ name }: Resource) => name === 'BERTH_ADMIN_PASSWORD');
  assert.deepEqual(valueFrom.secretKeyRef, { name: 'chosen', key: 'password' });
  assert.equal(configOf(resources).admin.password, 'secret');
});

test('every key of config becomes the setting of this name', async (t) => {
  if (!needs(t, 'helm')) return;
  const values = {
    config: {
      log: { access: false },
      limits: { maxConnections: 1_000_000 },
      uploads: { expireAfter: '2h' },
      storage: {
        s3: {
          pathStyle: false,
          kmsKeyId: 'k',
          serverSideEncryption: 'aws:kms',
          streamTo: ['10.0.0.0/8', 'fd00::/8'],
        },
      },
    },
  };
  const config = configOf(await render(t, 'replicated', values));
  assert.equal(config.log.access, false);
  assert.equal(config.limits.maxConnections, 1_000_000);
  assert.equal(config.uploads.expireAfter, 7_200_000);
  assert.ok(config.storage.type === 's3');
  assert.equal(config.storage.s3.pathStyle, false);
  assert.equal(config.storage.s3.streamTo.length, 2);
});

test('config accepts exactly the keys of Berth', () => {
  const { written, wanted } = chartSchema();
  assert.deepEqual(written, wanted, 'run: node test/support/chart-schema.ts && npm run format');
});

const refused: [what: string, base: string, values: object, reason: RegExp][] = [
  ['replicas over SQLite', 'single', { replicas: 2 }, /more than one replica needs PostgreSQL/],
  [
    'scaling over SQLite',
    'single',
    { autoscaling: { enabled: true } },
    /more than one replica needs PostgreSQL/,
  ],
  [
    'replicas over a volume of one node',
    'single',
    { replicas: 2, database: { existingSecret: 'database' } },
    /S3 \(config\.storage\.type: s3\) or a volume with ReadWriteMany/,
  ],
  [
    'a password among the settings',
    'single',
    { config: { admin: { password: 'hunter2' } } },
    /secrets do not go into config/,
  ],
  [
    'a secret among the settings',
    'single',
    { config: { database: { url: 'postgres://berth:hunter2@database/berth' } } },
    /secrets do not go into config/,
  ],
  ['another port', 'single', { config: { listen: '0.0.0.0:80' } }, /config\.listen is set by the image/],
  ['no image', 'single', { image: { repository: '' } }, /image\.repository has to be set/],
  ['an unknown value', 'single', { replica: 2 }, /additional properties 'replica' not allowed/],
  [
    'a typo in a setting',
    'single',
    { config: { log: { levl: 'debug' } } },
    /config\/log.*'levl' not allowed/s,
  ],
  ['a setting of the wrong kind', 'single', { config: { workers: 'two' } }, /config\/workers.*want integer/s],
  ['an invalid value of a setting', 'single', { config: { log: { level: 'loud' } } }, /config\/log\/level/],
];

for (const [what, base, values, reason] of refused) {
  test(`rejects ${what}`, async (t) => {
    if (!needs(t, 'helm')) return;
    await assert.rejects(render(t, base, values), (error: Error) => {
      assert.match(error.message, reason);
      assert.doesNotMatch(error.message, /hunter2/);
      return true;
    });
  });
}

test('replicas may share a volume', async (t) => {
  if (!needs(t, 'helm')) return;
  const shared = {
    persistence: { accessModes: ['ReadWriteMany'] },
    database: { existingSecret: 'database' },
  };
  const resources = await render(t, 'single', { replicas: 3, ...shared });
  assert.equal(resources.get('Deployment/reg-berth').spec.strategy.type, 'RollingUpdate');
  assert.ok(resources.has('PersistentVolumeClaim/reg-berth'));
});
