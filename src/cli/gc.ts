// berth gc: garbage collection.
import { InvalidArgumentError, Option } from 'commander';
import {
  garbageStatus,
  maxCounted,
  pauseCollection,
  planCollection,
  resumeCollection,
} from '../administration/garbage.ts';
import { showTime } from '../administration/show-time.ts';
import { placesOf } from '../config/places.ts';
import { formatDuration, parseDuration } from '../config/units.ts';
import { printBytes } from '../core/print-bytes.ts';
import { advanceEpoch } from '../core/store-identity.ts';
import type { Queue } from '../db/blob-deletions.ts';
import { Failure } from '../failure.ts';
import { CollectionRefused, collectGarbage } from '../jobs/collect-garbage.ts';
import { holdJob } from '../jobs/hold-job.ts';
import { describeFields, listAnswer } from './answer.ts';
import { subcommands } from './registry-command.ts';

const grace = new Option(
  '--grace <duration>',
  'Instead of gc.grace: how long a blob is kept after it was last needed, such as 1h.',
).argParser(parseGrace);

export const gcCommand = subcommands(
  {
    name: 'status',
    description: 'Show when garbage collection last ran, what waits for it, and whether it is paused.',
    async run(invocation) {
      const json = await garbageStatus(await invocation.openForReading());
      const text = describeFields({
        paused: json.paused ?? 'no',
        'last run': json.lastRun === null ? 'never' : showTime(json.lastRun),
        'blobs to review': describeQueue(json.reviews),
        'blobs without a repository': describeQueue(json.unheld),
        'unknown blobs': json.parked,
      });
      return { text, json };
    },
  },
  {
    name: 'plan',
    description:
      'List the blobs that a garbage collection would remove now, and the bytes that it would free.',
    options: [grace],
    examples: ['berth gc plan', 'berth gc plan --grace 1h --json'],
    async run(invocation, { grace = invocation.config.gc.grace }: { grace?: number }) {
      const database = await invocation.openForReading();
      const now = database.clock();
      const due = { reviewed: now - grace, parked: now - invocation.config.deletes.keepUnknownFor };
      const blobs = await planCollection(database, due);
      const freed = blobs.filter(({ freesBytes }) => freesBytes);
      const bytes = freed.reduce((sum, { size }) => sum + size, 0);
      const list = listAnswer(blobs, {
        DIGEST: ({ digest }) => digest,
        SIZE: ({ size }) => printBytes(size),
        DELETED: ({ freesBytes }) => freesBytes,
        'REMOVED FROM': ({ repositories }) => repositories,
      });
      return {
        text: `${list.text}${freed.length} of ${blobs.length} blobs would be deleted, which frees ${printBytes(bytes)}; blobs needed within the last ${formatDuration(grace)} are not listed\n`,
        json: { blobs, deleted: freed.length, bytes },
      };
    },
  },
  {
    name: 'run',
    description: 'Collect garbage now, also beside running servers.',
    options: [
      grace,
      new Option(
        '--max-percent <number>',
        'Instead of gc.maxPercent: the percentage of all blobs that may be deleted.',
      ).argParser(parsePercent),
    ],
    examples: ['berth gc run', 'berth gc run --grace 1h --max-percent 100'],
    async run(invocation, options: { grace?: number; maxPercent?: number }) {
      const { config } = invocation;
      const { grace = config.gc.grace, maxPercent = config.gc.maxPercent } = options;
      const database = await invocation.openForChanges();
      const store = await invocation.openStore();
      await using held = await holdJob(database, 'gc', 2_000);
      if (held === undefined) {
        throw new Failure('another process collects garbage; try again when it has ended');
      }
      try {
        const parts = {
          database,
          store,
          clock: database.clock,
          expireAfter: config.uploads.expireAfter,
          grace,
          keepUnknown: config.deletes.keepUnknownFor,
          limits: { ...config.gc, maxPercent },
          advanceEpoch: () => advanceEpoch(database, store, placesOf(config)),
        };
        const json = await collectGarbage(parts, held.lost);
        const text = describeFields({
          'blobs deleted': json.blobs,
          'space freed': printBytes(json.bytes),
          'removed from repositories': json.links,
          'checked and kept': json.kept,
          'expired uploads': json.uploads,
          'files without an upload': json.orphans,
          'interrupted commits': json.commits,
        });
        return { text, json };
      } catch (error) {
        if (!(error instanceof CollectionRefused)) throw error;
        const remedy = error.reason === 'paused' ? '; end the pause with `berth gc resume`' : '';
        throw new Failure(error.message + remedy);
      }
    },
  },
  {
    name: 'pause',
    description: 'Pause garbage collection in all replicas; a running one stops soon.',
    options: [
      new Option('--reason <text>', 'The reason that `berth gc status` shows.').default('maintenance'),
    ],
    async run(invocation, { reason }: { reason: string }) {
      await pauseCollection(await invocation.openForChanges(), reason);
      return { text: `garbage collection is paused: ${reason}\n`, json: { paused: reason } };
    },
  },
  {
    name: 'resume',
    description: 'End the pause of garbage collection.',
    async run(invocation) {
      await resumeCollection(await invocation.openForChanges());
      return { text: 'garbage collection is not paused\n', json: { paused: null } };
    },
  },
);

function describeQueue({ length, oldest }: Queue): string {
  const count = length === maxCounted ? `${length} or more` : String(length);
  return oldest === undefined ? count : `${count}, the oldest since ${showTime(oldest)}`;
}

function parseGrace(text: string): number {
  const milliseconds = parseDuration(text);
  if (milliseconds !== undefined) return milliseconds;
  throw new InvalidArgumentError('Expected a duration such as 1h or 30m.');
}

function parsePercent(text: string): number {
  const percent = /^\d{1,3}$/.test(text) ? Number(text) : 0;
  if (percent >= 1 && percent <= 100) return percent;
  throw new InvalidArgumentError('Expected a whole number from 1 to 100.');
}
