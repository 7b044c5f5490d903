import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { RefusalReason } from '../jobs/collect-garbage.ts';
import type { Outcome } from '../jobs/jobs.ts';
import { addGauges, type Gauges } from './gauges.ts';

/** Prometheus metrics of one registry. Every name is listed in `docs/reference/metrics.md`. */
export interface Metrics {
  readonly registry: Registry;
  /** Counts a request: `seconds` until its answer was sent to the operating system, bytes of the bodies. */
  request(
    route: string,
    method: string,
    status: number,
    seconds: number,
    received: number,
    sent: number,
  ): void;
  /** Times an operation on the database or the store, whether it succeeds or not. */
  time<T>(part: 'database' | 'store', operation: string, run: () => Promise<T>): Promise<T>;
  /** Counts events of the audit log. */
  audited(outcome: 'written' | 'lost', events: number): void;
  /** Records whether database and blob store belong together. */
  storeAgrees(agrees: boolean): void;
  readonly jobs: JobMetrics;
}

/** Metrics of this process's background jobs. */
export interface JobMetrics {
  planned(job: string): void;
  started(job: string): void;
  ended(job: string, outcome: Outcome, seconds: number): void;
  /** Counts what a garbage collection deleted, by kind, the bytes of the blobs, and the blobs that it checked and kept. */
  collected(
    counts: Readonly<Record<string, number>> & { readonly bytes: number; readonly kept: number },
  ): void;
  /** Counts a garbage collection that refused to run or to continue. */
  refused(reason: RefusalReason): void;
  /** Counts bytes that were read and compared with their digests. */
  scrubbed(bytes: number): void;
}

const requestBuckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60, 600];
const jobBuckets = [0.01, 0.1, 1, 10, 60, 600, 3_600, 21_600];
const operationBuckets = [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5];

export function createMetrics(gauges: Gauges): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 5 });
  const registers = [registry];
  const duration = new Histogram({
    name: 'berth_http_request_duration_seconds',
    help: 'Time until the answer was sent, for all requests except health and metrics',
    labelNames: ['route', 'method', 'status'],
    buckets: requestBuckets,
    registers,
  });
  const received = new Counter({
    name: 'berth_http_received_bytes_total',
    help: 'Bytes of request bodies',
    labelNames: ['route'],
    registers,
  });
  const sent = new Counter({
    name: 'berth_http_sent_bytes_total',
    help: 'Bytes of response bodies',
    labelNames: ['route'],
    registers,
  });
  const operations = new Histogram({
    name: 'berth_operation_duration_seconds',
    help: 'Operations of the database (a transaction includes its sync) and the blob store',
    labelNames: ['part', 'operation'],
    buckets: operationBuckets,
    registers,
  });
  const auditEvents = new Counter({
    name: 'berth_audit_events_total',
    help: 'Audit events that this process wrote to the audit log, or lost (lost events are in its own log)',
    labelNames: ['outcome'],
    registers,
  });
  for (const outcome of ['written', 'lost']) auditEvents.inc({ outcome }, 0);
  addGauges(registry, gauges);

  const agrees = new Gauge({
    name: 'berth_store_agrees',
    help: '1 if the database and the blob store belong together; 0 if not, then nothing is deleted',
    aggregator: 'min',
    registers,
  });
  agrees.set(1);

  // Cached per combination of labels; there are a few dozen.
  const durations = new Map<string, { observe(value: number): void }>();
  return {
    registry,
    jobs: jobMetrics(registry),
    storeAgrees: (whether) => agrees.set(whether ? 1 : 0),
    audited: (outcome, events) => auditEvents.inc({ outcome }, events),
    request(route, method, status, seconds, receivedBytes, sentBytes) {
      const key = `${route} ${method} ${status}`;
      let child = durations.get(key);
      if (child === undefined) {
        child = duration.labels({ route, method, status: String(status) });
        durations.set(key, child);
      }
      child.observe(seconds);
      if (receivedBytes > 0) received.inc({ route }, receivedBytes);
      if (sentBytes > 0) sent.inc({ route }, sentBytes);
    },
    async time(part, operation, run) {
      const end = operations.startTimer({ part, operation });
      try {
        return await run();
      } finally {
        end();
      }
    },
  };
}

function jobMetrics(registry: Registry): JobMetrics {
  const registers = [registry];
  const runs = new Counter({
    name: 'berth_job_runs_total',
    help: 'Runs of background jobs that ended in this process',
    labelNames: ['name', 'outcome'],
    registers,
  });
  const duration = new Histogram({
    name: 'berth_job_duration_seconds',
    help: 'Duration of these runs, whatever their outcome',
    labelNames: ['name'],
    buckets: jobBuckets,
    registers,
  });
  const succeeded = new Gauge({
    name: 'berth_job_last_success_timestamp_seconds',
    help: 'When a run of the job last succeeded in this process, in seconds since 1970; 0 before the first',
    labelNames: ['name'],
    aggregator: 'max',
    registers,
  });
  const held = new Gauge({
    name: 'berth_job_running',
    help: '1 while this process has the lease of the job and runs it',
    labelNames: ['name'],
    registers,
  });
  const collected = new Counter({
    name: 'berth_gc_deleted_total',
    help: 'What garbage collection (the job `gc`) deleted',
    labelNames: ['what'],
    registers,
  });
  const freed = new Counter({
    name: 'berth_gc_freed_bytes_total',
    help: 'Bytes of the blobs that garbage collection deleted',
    registers,
  });
  const kept = new Counter({
    name: 'berth_gc_kept_total',
    help: 'Blobs that garbage collection checked and kept, because a manifest needs them or a client asked for them meanwhile',
    registers,
  });
  const refused = new Counter({
    name: 'berth_gc_refused_total',
    help: 'Garbage collections that refused to run or to continue: `paused`, `migration` (the database has the schema of another version), `limit` (`gc.maxPercent`)',
    labelNames: ['reason'],
    registers,
  });
  for (const reason of ['paused', 'migration', 'limit']) refused.inc({ reason }, 0);
  const scrubbed = new Counter({
    name: 'berth_scrub_bytes_total',
    help: 'Bytes of blobs and manifests that the job `scrub` read in this process',
    registers,
  });
  return {
    scrubbed: (bytes) => scrubbed.inc(bytes),
    planned(job) {
      succeeded.set({ name: job }, 0);
      held.set({ name: job }, 0);
    },
    started(job) {
      held.set({ name: job }, 1);
    },
    ended(job, outcome, seconds) {
      held.set({ name: job }, 0);
      runs.inc({ name: job, outcome });
      duration.observe({ name: job }, seconds);
      if (outcome === 'succeeded') succeeded.setToCurrentTime({ name: job });
    },
    collected({ bytes, kept: blobs, ...counts }) {
      for (const [what, count] of Object.entries(counts)) collected.inc({ what }, count);
      freed.inc(bytes);
      kept.inc(blobs);
    },
    refused: (reason) => refused.inc({ reason }),
  };
}
