// The alerts and the dashboard: their queries use existing metrics and labels, Prometheus can parse them, and the alerts fire.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parse, stringify } from 'yaml';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import { run } from '../support/command.ts';
import { needs } from '../support/needs.ts';
import { noGauges } from '../support/no-gauges.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const pathOf = (file: string): string => fileURLToPath(new URL(`../../${file}`, import.meta.url));
const rulesFile = pathOf('deploy/prometheus/berth.rules.yaml');
const rules = (
  parse(readFileSync(rulesFile, 'utf8')) as { groups: { rules: { alert: string; expr: string }[] }[] }
).groups.flatMap((group) => group.rules);
const dashboard = JSON.parse(readFileSync(pathOf('deploy/grafana/berth.json'), 'utf8')) as {
  panels: { title: string; targets?: { expr: string }[] }[];
  annotations: { list: { expr: string }[] };
};
const queries = [
  ...rules.map(({ alert, expr }) => ({ what: alert, expr })),
  ...dashboard.panels.flatMap(({ title, targets = [] }) =>
    targets.map(({ expr }) => ({ what: title, expr })),
  ),
  ...dashboard.annotations.list.map(({ expr }) => ({ what: 'annotation', expr })),
];

/** Labels that Prometheus adds. */
const scraped = ['job', 'instance', 'le'];

test('every query uses existing metrics and labels', async () => {
  const { registry } = createMetrics(noGauges);
  const labelsOf = new Map<string, readonly string[]>([['up', []]]);
  for (const { name, type } of await registry.getMetricsAsJSON()) {
    const { labelNames } = registry.getSingleMetric(name) as unknown as { labelNames: readonly string[] };
    const suffixes = String(type) === 'histogram' ? ['_bucket', '_count', '_sum'] : [''];
    for (const suffix of suffixes) labelsOf.set(name + suffix, labelNames);
  }
  assert.ok(queries.length > 25);
  for (const { what, expr } of queries) {
    const names = [...expr.matchAll(/\b(?:up|(?:berth|process|nodejs)_\w+)\b/g)].map(String);
    assert.ok(names.length > 0, `${what}: ${expr}`);
    const allowed = new Set(scraped);
    for (const name of names) {
      const labels = labelsOf.get(name);
      assert.ok(labels, `${what}: there is no metric ${name}`);
      for (const label of labels) allowed.add(label);
    }
    const groups = [...expr.matchAll(/\bby \(([^)]*)\)/g)].flatMap(([, list = '']) => list.split(', '));
    const selected = [...expr.matchAll(/(\w+)=~?"/g)].map(([, label = '']) => label);
    for (const label of [...groups, ...selected]) assert.ok(allowed.has(label), `${what}: no label ${label}`);
  }
});

test('Prometheus can parse every query', async (t) => {
  if (!needs(t, 'promtool')) return;
  const readable = (expr: string): string =>
    expr.replaceAll('$__rate_interval', '5m').replaceAll('$job', 'berth');
  const recorded = queries.map(({ expr }, i) => ({ record: `query_${i}`, expr: readable(expr) }));
  const file = join(await temporaryDirectory(t), 'queries.yaml');
  await writeFile(file, stringify({ groups: [{ name: 'all', rules: recorded }] }));
  assert.match(
    await run('promtool', ['check', 'rules', file]),
    new RegExp(`SUCCESS: ${queries.length} rules`),
  );
  assert.match(await run('promtool', ['check', 'rules', rulesFile]), /SUCCESS/);
});

/** Minutes between samples; two or more are in the shortest range of a query, 5 minutes. */
const interval = 2;
/** Longer than the longest range (6 hours) or age of an alert, with its `for`. */
const hours = 7;
const samples = (hours * 60) / interval;
const constant = (value: number) => `${value}x${samples}`;
const growing = (step: number) => `0+${step}x${samples}`;
const berth = 'job="berth",instance="a"';
const requests = `berth_http_request_duration_seconds_count{${berth},route="getBlob",method="GET"`;

/** For each alert, series with which it has to fire, and series with which it must not; a sample every `interval` for `hours`. */
const cases: Readonly<Record<string, [fires: Record<string, string>, quiet: Record<string, string>]>> = {
  BerthDown: [{ [`up{${berth}}`]: constant(0) }, { [`up{${berth}}`]: constant(1) }],
  BerthServerErrors: [
    { [`${requests},status="503"}`]: growing(3), [`${requests},status="200"}`]: growing(97) },
    { [`${requests},status="404"}`]: growing(50), [`${requests},status="200"}`]: growing(97) },
  ],
  BerthSlowManifests: [buckets(0), buckets(100)],
  BerthDiskFillsUp: [
    { [`berth_free_bytes{${berth}}`]: `500000000000-1000000000x${samples}` },
    { [`berth_free_bytes{${berth}}`]: constant(500_000_000_000) },
  ],
  BerthDiskFull: [
    { [`berth_free_bytes{${berth}}`]: constant(1_000_000_000) },
    { [`berth_free_bytes{${berth}}`]: constant(3_000_000_000) },
  ],
  BerthDatabaseConnectionsUsedUp: [
    { [`berth_database_connections{${berth},pool="read",state="waiting"}`]: constant(3) },
    { [`berth_database_connections{${berth},pool="read",state="busy"}`]: constant(3) },
  ],
  BerthJobFails: [
    { [`berth_job_runs_total{${berth},name="gc",outcome="failed"}`]: growing(0.02) },
    { [`berth_job_runs_total{${berth},name="gc",outcome="succeeded"}`]: growing(0.02) },
  ],
  BerthJobOverdue: [
    { [`berth_job_ended_timestamp_seconds{${berth},name="gc"}`]: constant(0) },
    { [`berth_job_ended_timestamp_seconds{${berth},name="gc"}`]: growing(60 * interval) },
  ],
  BerthGarbageBehind: [
    { [`berth_gc_oldest_seconds{${berth},queue="unheld"}`]: constant(300_000) },
    { [`berth_gc_oldest_seconds{${berth},queue="unheld"}`]: constant(200_000) },
  ],
  BerthDataDamaged: [
    {
      [`berth_scrub_damaged_blobs{${berth}}`]: constant(0),
      [`berth_scrub_damaged_manifests{${berth}}`]: constant(1),
    },
    { [`berth_scrub_damaged_blobs{${berth}}`]: constant(0) },
  ],
  BerthBackupFails: [
    { [`berth_job_runs_total{${berth},name="backup",outcome="failed"}`]: growing(0.02) },
    { [`berth_job_runs_total{${berth},name="backup",outcome="succeeded"}`]: growing(0.02) },
  ],
  BerthBackupOverdue: [
    { [`berth_job_ended_timestamp_seconds{${berth},name="backup"}`]: constant(-2 * 86_400) },
    { [`berth_job_ended_timestamp_seconds{${berth},name="backup"}`]: constant(0) },
  ],
  BerthAuditEventsLost: [
    { [`berth_audit_events_total{${berth},outcome="lost"}`]: growing(1) },
    { [`berth_audit_events_total{${berth},outcome="written"}`]: growing(1) },
  ],
  BerthEventLoopBlocked: [
    { [`nodejs_eventloop_lag_p99_seconds{${berth}}`]: constant(0.5) },
    { [`nodejs_eventloop_lag_p99_seconds{${berth}}`]: constant(0.05) },
  ],
};

/** Manifest pulls of which `fast` in a hundred take a second at most. */
function buckets(fast: number): Record<string, string> {
  const series = (le: string) =>
    `berth_http_request_duration_seconds_bucket{${berth},route="getManifest",method="GET",status="200",le="${le}"}`;
  return { [series('1')]: growing(fast), [series('2.5')]: growing(100), [series('+Inf')]: growing(100) };
}

test('every alert fires exactly when it should', async (t) => {
  if (!needs(t, 'promtool')) return;
  assert.deepEqual(
    Object.keys(cases),
    rules.map(({ alert }) => alert),
  );
  const seriesOf = (values: Record<string, string>) =>
    Object.entries(values).map(([series, values]) => ({ series, values }));
  const fired = (alert: string) => `count(ALERTS{alertname="${alert}",alertstate="firing"}) or vector(0)`;
  const tests = Object.entries(cases).flatMap(([alert, inputs]) =>
    inputs.map((values, i) => ({
      name: `${alert} ${i === 0 ? 'fires' : 'is quiet'}`,
      interval: `${interval}m`,
      input_series: seriesOf(values),
      promql_expr_test: [
        {
          expr: fired(alert),
          eval_time: `${hours}h`,
          exp_samples: [{ labels: '{}', value: i === 0 ? 1 : 0 }],
        },
      ],
    })),
  );
  const file = join(await temporaryDirectory(t), 'alerts.test.yaml');
  await writeFile(file, stringify({ rule_files: [rulesFile], evaluation_interval: `${interval}m`, tests }));
  assert.match(await run('promtool', ['test', 'rules', file]), /SUCCESS/);
});
