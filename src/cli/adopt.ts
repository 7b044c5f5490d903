// berth adopt: takes over the storage tree of a CNCF registry in place.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Argument, type Command } from 'commander';
import type { Loaded } from '../config/load.ts';
import { placesOf, storePlace } from '../config/places.ts';
import type { Config } from '../config/schema.ts';
import { adopt, markAdopted, refuseEmptyTree, refuseOtherStore } from '../core/adopt/adopt.ts';
import type { Finding } from '../core/adopt/finding.ts';
import type { Adopted } from '../core/adopt/parts.ts';
import { printBytes } from '../core/print-bytes.ts';
import type { Database } from '../db/database.ts';
import { openSqlite } from '../db/sqlite/sqlite.ts';
import { Failure } from '../failure.ts';
import { openStore, openTree } from '../open.ts';
import type { BlobStore } from '../storage/blob-store.ts';
import { requireConfigured } from './adopt-place.ts';
import { commandActor } from './command-actor.ts';
import { configOf, withRegistryFlags } from './config-flags.ts';
import type { Context } from './context.ts';
import { inspectIfExists, openForAdoption } from './existing.ts';
import { interruptible } from './interrupt.ts';
import { Progress } from './progress.ts';

interface Options {
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

type Counts = Record<Finding['severity'], number>;

export function adoptCommand(command: Command, context: Context): void {
  withRegistryFlags(command)
    .addArgument(
      new Argument(
        '[place]',
        'The root directory of its storage, or s3://BUCKET[/PREFIX]; must be the blob store of the configuration, which is the default.',
      ),
    )
    .option('--dry-run', 'Report what a first run would adopt and what is damaged; change nothing.')
    .option('--json', 'Print JSON, one object a line: progress, findings, then the summary.')
    .addHelpText(
      'after',
      `
Examples:
  berth adopt --data /var/lib/registry --dry-run   what is there, and what is damaged
  berth adopt --data /var/lib/registry             adopt it; run it again to catch up with later pushes
  berth adopt s3://images --config berth.yaml      the bucket of berth.yaml

Copies no blob and changes no file of the tree. Exit code 1 if anything is damaged; the rest is adopted.`,
    )
    .action(async (place: string | undefined, options: Options, command: Command) => {
      const chosen = configOf(command, context);
      requireConfigured(place, chosen.config);
      await run(chosen, context, options);
    });
}

async function run(chosen: Loaded<Config>, context: Context, options: Options): Promise<void> {
  const { config } = chosen;
  const { dryRun = false, json = false } = options;
  const count: Counts = { error: 0, note: 0 };
  await using opened = new AsyncDisposableStack();
  const store = await openStore(config, { inspectOnly: true });
  opened.defer(() => store.close());
  const tree = await openTree(config);
  opened.defer(() => tree.close());
  await refuseEmptyTree(tree, storePlace(config));
  const database = dryRun
    ? await openForDryRun(chosen, store, context, opened)
    : await openForAdoption(chosen, context);
  opened.defer(() => database.close());
  if (!dryRun) await refuseOtherStore(database.read, store, placesOf(config));

  using progress = new Progress(context, { json });
  const advice = dryRun ? 'nothing was changed' : 'what was adopted is kept: run it again to continue';
  const adopted = await interruptible(advice, async (signal) => {
    const parts = {
      database,
      store,
      tree,
      by: commandActor(),
      missingReferences: config.manifests.missingReferences,
      immutableTags: config.tags.immutable,
      maxManifest: config.manifests.maxSize,
      signal,
      report(finding: Finding) {
        count[finding.severity] += 1;
        progress.result(json ? JSON.stringify(finding) : describe(finding));
      },
      progress: {
        begin: (name: string, unit: string, total: number) => progress.begin({ name, unit, total }),
        expect: (total: number) => progress.expect(total),
        add: (count: number) => progress.add({ count }),
      },
    };
    const adopted = await adopt(parts);
    if (!dryRun) await markAdopted(parts);
    return adopted;
  });
  progress[Symbol.dispose]();
  const { error, note } = count;
  context.out(
    json
      ? `${JSON.stringify({ adopted, dryRun, errors: error, notes: note })}\n`
      : summary(adopted, count, config, dryRun),
  );
  if (error > 0) throw new Failure(`${plural(error, 'error')} in ${storePlace(config)}`);
}

/** A database that is deleted afterwards. */
async function openForDryRun(
  chosen: Loaded<Config>,
  store: BlobStore,
  context: Context,
  opened: AsyncDisposableStack,
): Promise<Database> {
  const existing = await inspectIfExists(chosen, context);
  if (existing !== undefined) {
    opened.defer(() => existing.close());
    await refuseOtherStore(existing.read, store, placesOf(chosen.config));
  }
  const folder = await mkdtemp(join(tmpdir(), 'berth-adopt-'));
  opened.defer(() => rm(folder, { recursive: true, force: true }));
  return openSqlite(join(folder, 'berth.db'));
}

function describe({ severity, subject, problem }: Finding): string {
  // Names of files may contain control characters for the terminal.
  return `${severity}: ${subject}: ${problem}`.replace(/\p{Cc}/gu, '\u{fffd}');
}

function summary(adopted: Adopted, { error, note }: Counts, config: Config, dryRun: boolean): string {
  const { repositories, manifests, tags, blobs, bytes, uploads, added } = adopted;
  const all = [
    plural(repositories, 'repository', 'repositories'),
    plural(manifests, 'manifest'),
    plural(tags, 'tag'),
  ];
  const found = `${all.join(', ')}; ${plural(blobs, 'blob')} (${printBytes(bytes)}) in the store`;
  const findings = `${plural(error, 'error')}, ${plural(note, 'note')}`;
  const left = uploads > 0 ? `${plural(uploads, 'file')} of unfinished uploads stay as they are\n` : '';
  if (dryRun) return `would adopt ${found}\n${left}${findings}; nothing was changed\n`;
  const now = [
    plural(added.manifests, 'manifest'),
    plural(added.tags, 'tag'),
    `${plural(added.links, 'blob')} of repositories`,
  ];
  return `adopted ${found}
new in this run: ${now.join(', ')}
${left}${findings}
You can still go back to the former registry: no file of its tree was changed. After ${printDays(config.deletes.keepUnknownFor)} (deletes.keepUnknownFor)
garbage collection deletes the files that Berth does not need, such as manifests, which are in its database now.
`;
}

function printDays(milliseconds: number): string {
  return plural(Math.floor(milliseconds / 86_400_000), 'day');
}

function plural(count: number, noun: string, several = `${noun}s`): string {
  return `${count} ${count === 1 ? noun : several}`;
}
