// berth scrub: reads all blobs to find damaged ones.
import { InvalidArgumentError, Option } from 'commander';
import { type ScrubStatus, scrubStatus } from '../administration/scrub.ts';
import { showTime } from '../administration/show-time.ts';
import { placesOf } from '../config/places.ts';
import { formatDuration, formatSize, parseSize } from '../config/units.ts';
import { printBytes } from '../core/print-bytes.ts';
import { findScrub } from '../core/scrub-state.ts';
import { advanceEpoch } from '../core/store-identity.ts';
import { countStoredBlobs } from '../db/fsck.ts';
import { endLease } from '../db/leases.ts';
import { Failure } from '../failure.ts';
import { holdJob } from '../jobs/hold-job.ts';
import { type ScrubParts, scrub } from '../jobs/scrub.ts';
import { type Answer, describeFields, listAnswer } from './answer.ts';
import { interruptible } from './interrupt.ts';
import { Progress } from './progress.ts';
import { subcommands } from './registry-command.ts';

export const scrubCommand = subcommands(
  {
    name: 'status',
    description: 'Show how far the blobs were read, and the damaged ones with the images that need them.',
    async run(invocation) {
      const { every, bytesPerSecond } = invocation.config.scrub;
      const status = await scrubStatus(await invocation.openForReading());
      return describe(status, { every, bytesPerSecond });
    },
  },
  {
    name: 'run',
    description:
      'Read all blobs and manifests now, also beside running servers; exit code 1 if one is damaged. Continues an unfinished pass, and takes it over from a server.',
    options: [
      new Option('--rate <size>', 'Bytes to read in a second, at most, such as 50MiB.').argParser(parseRate),
      new Option('--restart', 'Begin with the first blob, even if a pass is unfinished.'),
    ],
    examples: ['berth scrub run', 'berth scrub run --rate 50MiB'],
    async run(invocation, { rate = 0, restart = false }: { rate?: number; restart?: boolean }) {
      const { config, context } = invocation;
      const database = await invocation.openForChanges();
      const store = await invocation.openStore();
      await database.transaction((db) => endLease(db, 'scrub'));
      await using held = await holdJob(database, 'scrub', 2_000);
      if (held === undefined)
        throw new Failure('another process has just begun to read the blobs; try again');
      using progress = new Progress(context, { json: false });
      const { blobs: total, bytes: totalBytes } = await countStoredBlobs(database.read);
      const { pass } = await findScrub(database.read);
      progress.begin({ name: 'reading', unit: 'blobs', total, totalBytes });
      if (pass !== undefined && !restart) {
        progress.add({ count: pass.blobs, bytes: pass.bytes });
        progress.printLine(`continuing the pass that began on ${showTime(pass.began)}`);
      }
      const observer: ScrubParts['observer'] = {
        read: (bytes) => progress.add({ bytes }),
        blobChecked: () => progress.add({ count: 1 }),
        found: (what, { subject, problem }) =>
          progress.printLine(
            `${subject} ${what === 'damaged' ? 'is damaged' : 'cannot be read'}: ${problem}`,
          ),
        healed: (digest) => progress.printLine(`blob ${digest} has its right bytes again`),
      };
      const checkStore = () => advanceEpoch(database, store, placesOf(config));
      const parts = { database, store, by: database.by, checkStore, bytesPerSecond: rate, observer };
      await interruptible('`berth scrub run` continues', (signal) =>
        scrub(parts, AbortSignal.any([signal, held.lost]), { restart }),
      ).catch((error) => {
        throw held.lost.aborted ? new Failure(`stopped: ${(held.lost.reason as Error).message}`) : error;
      });
      progress[Symbol.dispose]();
      const status = await scrubStatus(database);
      const { damaged, manifests, unreadable } = status;
      const failure =
        damaged + manifests.length + unreadable.length === 0
          ? undefined
          : new Failure(
              `stored data is damaged (damaged blobs: ${damaged}, damaged manifests: ${manifests.length}, unreadable blobs: ${unreadable.length}); push the affected images again`,
            );
      return { ...describe(status, config.scrub), ...(failure && { failure }) };
    },
  },
);

/** Answers the status, with lists of what is damaged if anything is. */
function describe(
  status: ScrubStatus,
  { every, bytesPerSecond }: { every: number; bytesPerSecond: number },
): Answer {
  const { pass, last, damaged, blobs, manifests, unreadable } = status;
  const rate = bytesPerSecond === 0 ? 'unlimited' : `${formatSize(bytesPerSecond)} a second`;
  const parts = [
    describeFields({
      'in the background': every === 0 ? 'off' : `every ${formatDuration(every)}, ${rate}`,
      'unfinished pass':
        pass === null
          ? 'none'
          : `${Math.floor(pass.share * 100)} % of the blobs (${printBytes(pass.bytes)}), since ${showTime(pass.began)}`,
      'last pass':
        last === null
          ? 'never'
          : `${last.blobs} blobs and ${last.manifests} manifests (${printBytes(last.bytes)}), ended ${showTime(last.ended)}`,
      'damaged blobs': damaged,
      'damaged manifests': manifests.length,
      'unreadable blobs': unreadable.length,
    }),
  ];
  if (blobs.length > 0) {
    const list = listAnswer(blobs, {
      'DAMAGED BLOB': ({ digest }) => digest,
      SIZE: ({ size }) => printBytes(size),
      SINCE: ({ damaged_at: since }) => showTime(since),
      AFFECTS: ({ affects }) => affects,
    });
    parts.push(list.text);
  }
  const others = [...manifests, ...unreadable];
  if (others.length > 0) {
    const list = listAnswer(others, {
      SUBJECT: ({ subject }) => subject,
      PROBLEM: ({ problem }) => problem,
      AFFECTS: ({ affects }) => affects,
    });
    parts.push(list.text);
  }
  return { text: parts.join('\n'), json: { every, bytesPerSecond, ...status } };
}

function parseRate(text: string): number {
  const size = parseSize(text);
  if (size !== undefined) return size;
  throw new InvalidArgumentError('Expected a size such as 50MiB.');
}
