import { Gauge, type Registry } from 'prom-client';

/** Values read at each scrape, so each must be cheap; `undefined` if there is no such value, or not yet. */
export interface Gauges {
  /** Berth's version. */
  readonly version: string;
  uploadsOpen(): Promise<number>;
  blobsParked(): Promise<number>;
  blobsDamaged(): Promise<number>;
  /** Blobs that the last passes of the scrub could not read. */
  blobsUnreadable(): Promise<number>;
  /** Manifests with wrong bytes that the last passes of the scrub found. */
  manifestsDamaged(): Promise<number>;
  stored(): Promise<{ readonly blobs: number; readonly bytes: number } | undefined>;
  /** The queues of garbage collection, by name; `oldest` in milliseconds since 1970. */
  garbageQueues(): Promise<
    Readonly<Record<string, { readonly length: number; readonly oldest: number | undefined }>>
  >;
  /** Bytes free on the file system of the data directory. */
  freeBytes(): Promise<number | undefined>;
  connections():
    | readonly {
        readonly pool: string;
        readonly busy: number;
        readonly idle: number;
        readonly waiting: number;
      }[]
    | undefined;
  /** The last end of each job, in milliseconds since 1970. */
  jobsEnded(): Promise<readonly { readonly name: string; readonly at: number }[]>;
}

/** All processes report the same value. */
const shared = { aggregator: 'max' } as const;

export function addGauges(registry: Registry, gauges: Gauges): void {
  const registers = [registry];
  new Gauge({
    name: 'berth_build_info',
    help: 'Always 1; the labels have the running versions',
    labelNames: ['version', 'node'],
    registers,
    ...shared,
  }).set({ version: gauges.version, node: process.versions.node }, 1);
  for (const [name, find, help] of [
    ['berth_uploads_open', gauges.uploadsOpen, 'Open upload sessions'],
    [
      'berth_blobs_parked',
      gauges.blobsParked,
      'Blobs found without a database row, which are kept for deletes.keepUnknownFor',
    ],
    [
      'berth_scrub_damaged_blobs',
      gauges.blobsDamaged,
      'Blobs whose stored bytes are missing or wrong, which are not served; more than 100000 are not counted',
    ],
    [
      'berth_scrub_unreadable_blobs',
      gauges.blobsUnreadable,
      'Blobs that the last scrub could not read; more than 100 are not counted',
    ],
    [
      'berth_scrub_damaged_manifests',
      gauges.manifestsDamaged,
      'Manifests that the last scrub found with wrong bytes; more than 100 are not counted',
    ],
  ] as const) {
    new Gauge({
      name,
      help,
      registers,
      ...shared,
      async collect() {
        this.remove();
        await show(async () => this.set(await find()));
      },
    });
  }
  for (const [name, what, help] of [
    ['berth_stored_blobs', 'blobs', 'Blobs in the store, each counted once; updated hourly'],
    ['berth_stored_bytes', 'bytes', 'Bytes of these blobs'],
  ] as const) {
    new Gauge({
      name,
      help,
      registers,
      ...shared,
      async collect() {
        this.remove();
        await show(async () => {
          const stored = await gauges.stored();
          if (stored !== undefined) this.set(stored[what]);
        });
      },
    });
  }
  for (const [name, value, help] of [
    [
      'berth_gc_queue',
      (queue) => queue.length,
      'Blobs that wait for garbage collection; more than 100000 are not counted',
    ],
    [
      'berth_gc_oldest_seconds',
      (queue) => (queue.oldest === undefined ? 0 : Math.max(0, (Date.now() - queue.oldest) / 1000)),
      'Seconds since the blob that waits longest was last needed; above gc.grace it is due',
    ],
  ] as const satisfies [
    string,
    (queue: { length: number; oldest: number | undefined }) => number,
    string,
  ][]) {
    new Gauge({
      name,
      help,
      labelNames: ['queue'],
      registers,
      ...shared,
      async collect() {
        this.reset();
        await show(async () => {
          for (const [queue, state] of Object.entries(await gauges.garbageQueues()))
            this.set({ queue }, value(state));
        });
      },
    });
  }
  new Gauge({
    name: 'berth_free_bytes',
    help: 'Bytes free on the file system of the data directory, if there is one',
    registers,
    ...shared,
    async collect() {
      this.remove();
      await show(async () => {
        const free = await gauges.freeBytes();
        if (free !== undefined) this.set(free);
      });
    },
  });
  new Gauge({
    name: 'berth_database_connections',
    help: 'Connections of this process to PostgreSQL, and queries that wait for one',
    labelNames: ['pool', 'state'],
    registers,
    collect() {
      for (const { pool, ...states } of gauges.connections() ?? []) {
        for (const [state, count] of Object.entries(states)) this.set({ pool, state }, count);
      }
    },
  });
  new Gauge({
    name: 'berth_job_ended_timestamp_seconds',
    help: 'When a run of the job last ended in any process, in seconds since 1970; absent while one runs',
    labelNames: ['name'],
    registers,
    ...shared,
    async collect() {
      this.reset();
      await show(async () => {
        for (const { name, at } of await gauges.jobsEnded()) this.set({ name }, at / 1000);
      });
    },
  });
}

/** Omits a value that cannot be read: an unavailable database must not hide the other metrics. */
async function show(find: () => Promise<void>): Promise<void> {
  try {
    await find();
  } catch {
    // Other metrics show failures of the database.
  }
}
