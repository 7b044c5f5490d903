import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { noGauges } from '../../test/support/no-gauges.ts';
import { createMetrics } from './metrics.ts';

const page = readFileSync(new URL('../../docs/reference/metrics.md', import.meta.url), 'utf8');

test('counts requests by route, method and status, and bytes by route', async () => {
  const metrics = createMetrics(noGauges);
  metrics.request('getBlob', 'GET', 200, 0.002, 0, 1000);
  metrics.request('getBlob', 'GET', 200, 20, 0, 24);
  metrics.request('putUpload', 'PUT', 201, 0.1, 512, 0);
  const text = await metrics.registry.metrics();
  const labels = 'route="getBlob",method="GET",status="200"';
  for (const line of [
    `berth_http_request_duration_seconds_bucket{le="0.0025",${labels}} 1`,
    `berth_http_request_duration_seconds_bucket{le="60",${labels}} 2`,
    `berth_http_request_duration_seconds_count{${labels}} 2`,
    'berth_http_sent_bytes_total{route="getBlob"} 1024',
    'berth_http_received_bytes_total{route="putUpload"} 512',
  ]) {
    assert.ok(text.includes(`${line}\n`), `${line} is not in\n${text}`);
  }
  assert.ok(!text.includes('berth_http_sent_bytes_total{route="putUpload"}'));
});

test('times an operation whether it succeeds or fails, and returns its result', async () => {
  const metrics = createMetrics(noGauges);
  assert.equal(await metrics.time('store', 'read', async () => 5), 5);
  const reason = new Error('broken');
  const failing = metrics.time('store', 'read', () => Promise.reject(reason));
  await assert.rejects(failing, (error) => error === reason);
  const text = await metrics.registry.metrics();
  assert.match(text, /berth_operation_duration_seconds_count\{part="store",operation="read"\} 2\n/);
});

test('reads the number of open uploads at each scrape', async () => {
  let open = 3;
  const metrics = createMetrics({ ...noGauges, uploadsOpen: async () => open });
  assert.match(await metrics.registry.metrics(), /^berth_uploads_open 3$/m);
  open = 4;
  assert.match(await metrics.registry.metrics(), /^berth_uploads_open 4$/m);
});

test('reads gauges at each scrape and omits undefined values', async () => {
  let stored: { blobs: number; bytes: number } | undefined;
  const metrics = createMetrics({
    ...noGauges,
    stored: async () => stored,
    freeBytes: async () => 5,
    connections: () => [{ pool: 'read', busy: 2, idle: 1, waiting: 7 }],
    jobsEnded: async () => [{ name: 'gc', at: 1_500 }],
  });
  const lines = async () => (await metrics.registry.metrics()).split('\n');
  const first = await lines();
  for (const line of [
    `berth_build_info{version="1.2.3",node="${process.versions.node}"} 1`,
    'berth_free_bytes 5',
    'berth_database_connections{pool="read",state="busy"} 2',
    'berth_database_connections{pool="read",state="idle"} 1',
    'berth_database_connections{pool="read",state="waiting"} 7',
    'berth_job_ended_timestamp_seconds{name="gc"} 1.5',
  ]) {
    assert.ok(first.includes(line), `${line} is not in\n${first.join('\n')}`);
  }
  assert.ok(!first.some((line) => /^berth_stored_\w+ /.test(line)));
  stored = { blobs: 3, bytes: 900 };
  const second = await lines();
  assert.ok(second.includes('berth_stored_blobs 3') && second.includes('berth_stored_bytes 900'));
  stored = undefined;
  assert.ok(!(await lines()).some((line) => /^berth_stored_\w+ /.test(line)));
});

test('an unavailable database does not hide other metrics', async () => {
  const away = () => Promise.reject(new Error('the database is away'));
  const metrics = createMetrics({ ...noGauges, uploadsOpen: away, stored: away, jobsEnded: away });
  metrics.request('getBlob', 'GET', 503, 0.1, 0, 0);
  const text = await metrics.registry.metrics();
  assert.match(text, /^berth_http_request_duration_seconds_count\{.*status="503"\} 1$/m);
  assert.doesNotMatch(text, /^berth_uploads_open /m);
});

test('metrics of a job have its state, outcomes and last success', async () => {
  const { jobs, registry } = createMetrics(noGauges);
  const metric = async (name: string) => {
    const found = (await registry.metrics()).split('\n').filter((line) => line.startsWith(`${name}{`));
    return found.map((line) => line.slice(name.length));
  };
  jobs.planned('gc');
  assert.deepEqual(await metric('berth_job_running'), ['{name="gc"} 0']);
  assert.deepEqual(await metric('berth_job_last_success_timestamp_seconds'), ['{name="gc"} 0']);
  jobs.started('gc');
  assert.deepEqual(await metric('berth_job_running'), ['{name="gc"} 1']);
  jobs.ended('gc', 'failed', 5);
  assert.deepEqual(await metric('berth_job_running'), ['{name="gc"} 0']);
  assert.deepEqual(await metric('berth_job_last_success_timestamp_seconds'), ['{name="gc"} 0']);
  const before = Date.now() / 1000;
  jobs.ended('gc', 'succeeded', 7);
  assert.deepEqual(await metric('berth_job_runs_total'), [
    '{name="gc",outcome="failed"} 1',
    '{name="gc",outcome="succeeded"} 1',
  ]);
  assert.deepEqual(await metric('berth_job_duration_seconds_sum'), ['{name="gc"} 12']);
  const [success] = await metric('berth_job_last_success_timestamp_seconds');
  assert.ok(Number(success?.split(' ')[1]) >= before);
});

test('adds up what garbage collection deletes', async () => {
  const { jobs, registry } = createMetrics(noGauges);
  jobs.collected({ uploads: 2, orphans: 0, bytes: 5, kept: 1 });
  jobs.collected({ uploads: 3, orphans: 1, bytes: 7, kept: 2 });
  jobs.refused('limit');
  const text = await registry.metrics();
  assert.match(text, /^berth_gc_deleted_total\{what="uploads"\} 5$/m);
  assert.match(text, /^berth_gc_deleted_total\{what="orphans"\} 1$/m);
  assert.match(text, /^berth_gc_freed_bytes_total 12$/m);
  assert.match(text, /^berth_gc_kept_total 3$/m);
  assert.match(text, /^berth_gc_refused_total\{reason="limit"\} 1$/m);
  assert.doesNotMatch(text, /what="(bytes|kept)"/);
});

test('two registries in one process count separately', async () => {
  const [one, two] = [createMetrics(noGauges), createMetrics(noGauges)];
  one.request('getBase', 'GET', 200, 0.1, 0, 0);
  assert.match(await one.registry.metrics(), /route="getBase"/);
  assert.doesNotMatch(await two.registry.metrics(), /route="getBase"/);
});

/** Name, type, labels and help of Berth's own metrics. */
async function exported() {
  const { registry } = createMetrics(noGauges);
  return (await registry.getMetricsAsJSON())
    .filter(({ name }) => name.startsWith('berth_'))
    .map(({ name, type, help }) => {
      const { labelNames } = registry.getSingleMetric(name) as unknown as { labelNames: readonly string[] };
      const labels = labelNames.filter((label) => label !== 'le').map((label) => `\`${label}\``);
      return { name, type: String(type), labels: labels.join(', '), help };
    });
}

/** Rows of the first table of the page. */
function documented() {
  const rows = page.split('\n').filter((line) => line.startsWith('| `berth_'));
  return rows.map((row) => {
    const [, name = '', type = '', labels = '', help = ''] = row.split('|').map((cell) => cell.trim());
    return { name: name.replaceAll('`', ''), type, labels, help: help.replace(/\.$/, '') };
  });
}

test('docs/reference/metrics.md lists every metric with its type, labels and meaning', async () => {
  const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : 1);
  assert.deepEqual(documented().sort(byName), (await exported()).sort(byName));
});

test('docs/reference/metrics.md names existing process metrics only', async () => {
  const text = await createMetrics(noGauges).registry.metrics();
  const named = [...page.matchAll(/`((?:process|nodejs)_\w+)`/g)].map(([, name]) => name as string);
  assert.ok(named.length > 0);
  for (const name of named) assert.ok(text.includes(`# TYPE ${name} `), name);
});
