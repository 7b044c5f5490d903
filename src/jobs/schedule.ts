// The background jobs of a registry and their intervals.
import type { Config } from '../config/schema.ts';
import type { BackedUp } from '../core/backup/back-up.ts';
import type { Clock } from '../core/clock.ts';
import { deletionRulesOf } from '../core/delete-image.ts';
import { emptyTrash } from '../core/empty-trash.ts';
import { governedRepositories, runRetention } from '../core/retention/run.ts';
import type { StoreEpoch } from '../core/store-epoch.ts';
import { keepMovesFor } from '../core/tag-history.ts';
import { deleteAuditEvents } from '../db/audit-events.ts';
import { retention, system } from '../db/changes.ts';
import type { Database } from '../db/database.ts';
import { isPostgres } from '../db/dialect.ts';
import { deletePullCounts } from '../db/pull-counts.ts';
import { deletePullDays } from '../db/pulls.ts';
import { readOnlyReason } from '../db/read-only.ts';
import { deleteExpiredAliases } from '../db/repository-aliases.ts';
import type { BlobStore } from '../storage/blob-store.ts';
import { type Collected, CollectionRefused, collectGarbage, type RefusalReason } from './collect-garbage.ts';
import { type FoundBlobs, findUnknownBlobs } from './find-unknown-blobs.ts';
import { forget, forgetChanges } from './forget.ts';
import type { Run } from './jobs.ts';
import { measure } from './measure.ts';
import { isScrubDue, type ScrubObserver, scrub } from './scrub.ts';
import { addUpUsage } from './usage.ts';

/** A job of the schedule; see `Jobs.every`. */
export interface ScheduledJob {
  readonly name: string;
  /** Milliseconds between two runs. */
  readonly every: number;
  readonly run: Run;
}

export interface ScheduleParts {
  readonly config: Pick<
    Config,
    | 'uploads'
    | 'deletes'
    | 'trash'
    | 'gc'
    | 'scrub'
    | 'audit'
    | 'history'
    | 'rateLimits'
    | 'backup'
    | 'retention'
    | 'tags'
    | 'usage'
  >;
  /** Refuses writes while the registry is read-only. */
  readonly database: Database;
  /** The same database without this check. */
  readonly unguarded: Database;
  readonly store: BlobStore;
  readonly clock: Clock;
  readonly epoch: Pick<StoreEpoch, 'advance'>;
  readonly removeExpiredSessions: () => Promise<unknown>;
  /** Removes signing keys whose last token has expired; returns their ids. */
  readonly removeEndedSigningKeys: () => Promise<readonly string[]>;
  /** Makes a backup; absent if none are configured. */
  readonly backUp?: ((signal: AbortSignal) => Promise<BackedUp>) | undefined;
  readonly observer: ScheduleObserver;
}

export interface ScheduleObserver {
  /** Called with the counts of each garbage collection, even a failed one. */
  collected(counts: Collected): void;
  /** Called when garbage collection refuses to run or to continue. */
  refused(reason: RefusalReason): void;
  /** Called with the counts of each search for unknown blobs, even a failed one. */
  foundBlobs(found: FoundBlobs): void;
  readonly scrub: ScrubObserver;
  /** Logs the result of a job. */
  done(what: string, fields: object): void;
}

/** Milliseconds for which a file without a row is kept. A push writes the row within seconds, but the store's clock may be wrong. */
const orphanGrace = 24 * 3_600_000;
const hourly = 3_600_000;
const minutely = 60_000;

/**
 * The jobs of a registry. While the registry is read-only, only `pull-counts` and `backup` run, which change nothing that is copied,
 * so that copies of its data are complete.
 */
export function scheduleOf(parts: ScheduleParts): ScheduledJob[] {
  const { config, database, unguarded, store, clock, epoch, observer, backUp } = parts;
  const whileWritable =
    (run: Run): Run =>
    async (signal) => {
      if ((await readOnlyReason(database.read)) === undefined) await run(signal);
    };
  const common = { database, store, clock, advanceEpoch: () => epoch.advance() };
  const writing: ScheduledJob[] = [
    {
      name: 'gc',
      every: Math.min(hourly, config.uploads.expireAfter),
      async run(signal) {
        const collecting = collectGarbage(
          {
            ...common,
            expireAfter: config.uploads.expireAfter,
            grace: config.gc.grace,
            keepUnknown: config.deletes.keepUnknownFor,
            limits: config.gc,
            report: (counts) => observer.collected(counts),
          },
          signal,
        );
        const collected = await collecting.catch((error) => {
          if (!(error instanceof CollectionRefused)) throw error;
          observer.refused(error.reason);
          // The others end by themselves, or were asked for.
          if (error.reason === 'limit') throw error;
          return { refused: error.message };
        });
        observer.done('refused' in collected ? 'garbage collection refused' : 'garbage collected', collected);
      },
    },
    {
      name: 'trash',
      every: hourly,
      async run(signal) {
        const emptied = await emptyTrash(database, { before: clock() - config.trash.keepFor }, signal);
        observer.done('deleted for good what was in the trash long enough', emptied);
      },
    },
    {
      name: 'unknown-blobs',
      every: config.gc.searchEvery,
      async run(signal) {
        const report = (found: FoundBlobs): void => observer.foundBlobs(found);
        const found = await findUnknownBlobs({ ...common, grace: orphanGrace, report }, signal);
        observer.done('searched the store for blobs without a row', found);
      },
    },
    {
      name: 'retention',
      every: config.retention.every,
      async run(signal) {
        const deletions = deletionRulesOf(config);
        const retained = await runRetention(
          { database, deletions, keepMovesFor: keepMovesFor(config), by: retention },
          governedRepositories(database.read, '', signal),
          signal,
        );
        observer.done('applied the retention policies', retained);
      },
    },
    {
      name: 'measure',
      every: hourly,
      run: async (signal) => void (await measure({ database }, signal)),
    },
    {
      name: 'usage',
      // On SQLite there are no changes to add up.
      every: isPostgres(database.read) ? minutely : hourly,
      run: (signal) => addUpUsage({ database, clock, keepFor: config.usage.keepFor }, signal),
    },
    {
      name: 'audit',
      every: hourly,
      async run(signal) {
        const { keepFor } = config.audit;
        const events = await forget({ database, clock, keepFor }, deleteAuditEvents, signal);
        const keepTagMovesFor = config.history.keepFor;
        const changes = await forgetChanges({ database, clock, keepFor, keepTagMovesFor }, signal);
        const days = { database, clock, keepFor: keepTagMovesFor };
        const pullDays = await forget(days, deletePullDays, signal);
        observer.done('deleted old entries of the audit log', { events, changes, pullDays });
      },
    },
    {
      name: 'aliases',
      every: hourly,
      async run(signal) {
        // Expired aliases work no longer, so their rows need no further time.
        const removed = await forget({ database, clock, keepFor: 0 }, deleteExpiredAliases, signal);
        if (removed > 0) observer.done('deleted expired aliases of repositories', { removed });
      },
    },
    {
      name: 'sessions',
      every: hourly,
      run: async () => void (await parts.removeExpiredSessions()),
    },
    {
      name: 'signing-keys',
      every: hourly,
      async run() {
        const removed = await parts.removeEndedSigningKeys();
        if (removed.length > 0)
          observer.done('removed signing keys whose last token has expired', { removed });
      },
    },
  ];
  const { every, bytesPerSecond } = config.scrub;
  if (every > 0) {
    writing.push({
      name: 'scrub',
      // Not `scrub.every`, so that a pass that failed continues soon.
      every: Math.min(hourly, every),
      async run(signal) {
        if (!(await isScrubDue(database.read, clock(), every))) return;
        const checkStore = () => epoch.advance();
        const scrubbing = {
          database,
          store,
          by: system,
          checkStore,
          bytesPerSecond,
          observer: observer.scrub,
        };
        const { blobs, manifests, bytes } = await scrub(scrubbing, signal);
        observer.done('read all blobs and manifests', { blobs, manifests, bytes });
      },
    });
  }
  const backups: ScheduledJob[] =
    backUp === undefined ? [] : [backupJob(config.backup.every, backUp, observer)];
  return [
    ...backups,
    ...writing.map((job) => ({ ...job, run: whileWritable(job.run) })),
    {
      name: 'pull-counts',
      every: hourly,
      async run(signal) {
        const keepFor = config.rateLimits.pullWindow;
        await forget({ database: unguarded, clock, keepFor }, deletePullCounts, signal);
      },
    },
  ];
}

function backupJob(
  every: number,
  backUp: (signal: AbortSignal) => Promise<BackedUp>,
  observer: ScheduleObserver,
): ScheduledJob {
  return {
    name: 'backup',
    every,
    async run(signal) {
      const { name: backup, ...done } = await backUp(signal);
      observer.done('backed up the registry', { backup, ...done });
      // The backup is complete, but a run without all blobs must not count as a success.
      if (done.problems > 0)
        throw new Error(
          `${done.problems} blobs could not be copied; \`berth fsck\` lists the affected images`,
        );
    },
  };
}
