// berth fsck: checks the database against the blob store.

import type { Command } from 'commander';
import type { Loaded } from '../config/load.ts';
import { placesOf, registryPlace } from '../config/places.ts';
import type { Config } from '../config/schema.ts';
import type { Finding, Walked } from '../core/fsck/walk.ts';
import { fsck } from '../core/fsck.ts';
import { printBytes } from '../core/print-bytes.ts';
import { type Repaired, repair } from '../core/repair.ts';
import { refuseWhenReadOnly } from '../db/read-only.ts';
import { Failure, UsageError } from '../failure.ts';
import { openStore } from '../open.ts';
import { commandActor } from './command-actor.ts';
import { configOf, withRegistryFlags } from './config-flags.ts';
import type { Context } from './context.ts';
import { inspectExisting, openExisting } from './existing.ts';

interface Options {
  readonly readData?: boolean;
  readonly json?: boolean;
  readonly repair?: boolean;
  readonly yes?: boolean;
}

export function fsckCommand(command: Command, context: Context): void {
  withRegistryFlags(command)
    .option('--read-data', 'Read every blob and compare it with its digest.')
    .option('--json', 'Print one JSON object a line: findings, then the summary.')
    .option(
      '--repair',
      'Print how to make the database and the blob store agree if one is an older copy, to recount wrong usage, and with --read-data to mark damaged blobs; changes nothing without --yes.',
    )
    .option('--yes', 'With --repair: make the changes.')
    .action(async ({ readData = false, json = false, ...options }: Options, command: Command) => {
      const chosen = configOf(command, context);
      const { config } = chosen;
      if (options.repair) return repairOf(chosen, context, { change: options.yes === true, readData });
      if (options.yes) throw new UsageError('--yes needs --repair');

      const print = json ? printJson : printText;
      const count = { error: 0, note: 0 };
      await using opened = new AsyncDisposableStack();
      const database = await inspectExisting(chosen, context);
      opened.defer(() => database.close());
      const store = await openStore(config, { inspectOnly: true });
      opened.defer(() => store.close());
      const { missingReferences } = config.manifests;
      const walked = await fsck(
        { database, store, places: placesOf(config), clock: Date.now, readData, missingReferences },
        (finding) => {
          count[finding.severity] += 1;
          context.out(`${print.finding(finding)}\n`);
        },
      );
      context.out(`${print.summary(walked, count)}\n`);
      if (count.error > 0) throw new Failure(`${plural(count.error, 'error')} in ${registryPlace(config)}`);
    });
}

async function repairOf(
  chosen: Loaded<Config>,
  context: Context,
  { change, readData }: { readonly change: boolean; readonly readData: boolean },
): Promise<void> {
  await using opened = new AsyncDisposableStack();
  const database = await openExisting(chosen, context);
  opened.defer(() => database.close());
  const { config } = chosen;
  const store = await openStore(config, { inspectOnly: true });
  opened.defer(() => store.close());
  const parts = {
    database: refuseWhenReadOnly(database),
    by: commandActor(),
    store,
    places: placesOf(config),
    change,
    readData,
  };
  const repaired = await repair(parts);
  const { before, parked, moved, recounted, damaged, healed } = repaired;
  context.out(`${describeRepair(repaired, { change, readData })}\n`);
  if (change || (before.relation === 'agree' && parked + moved + recounted + damaged + healed === 0)) return;
  throw new Failure('nothing was changed; add --yes to make the changes');
}

function describeRepair(
  { before, parked, bytes, moved, recounted, damaged, healed }: Repaired,
  { change, readData }: { readonly change: boolean; readonly readData: boolean },
): string {
  const [recorded, used, raised] = change
    ? ['recorded', 'the database now uses', 'both were raised']
    : ['to record', 'the database will use', 'both will be raised'];
  const { relation, epoch, marker } = before;
  const lines = [
    relation === 'agree'
      ? 'the database and the blob store agree'
      : `${relation}: the database's epoch is ${epoch}, the blob store's is ${marker?.epoch ?? 'unknown'}; ${raised} to the same new epoch`,
    `${plural(parked, 'blob')} (${printBytes(bytes)}) unknown to the database, ${recorded} as parked for deletes.keepUnknownFor`,
  ];
  if (moved > 0)
    lines.push(
      `${plural(moved, 'blob')} with newer bytes than the database records; ${used} the newer bytes`,
    );
  if (recounted > 0)
    lines.push(
      `the usage of ${recounted} repositories and namespaces, ${change ? 'counted' : 'to count'} again`,
    );
  if (readData) {
    const [marked, unmarked] = change ? ['marked', 'mark ended'] : ['to mark', 'mark will end'];
    lines.push(
      `${plural(damaged, 'blob')} with missing or wrong bytes, ${marked} as damaged`,
      `${plural(healed, 'damaged blob')} with the right bytes again; the ${unmarked}`,
    );
  }
  return lines.join('\n');
}

type Counts = Readonly<Record<Finding['severity'], number>>;

const printJson = {
  finding: (finding: Finding): string => JSON.stringify(finding),
  summary: (walked: Walked, { error, note }: Counts): string =>
    JSON.stringify({ walked, errors: error, notes: note }),
};

const printText = {
  finding({ severity, subject, problem, affects }: Finding): string {
    const affected = affects.length > 0 ? `; affects ${affects.join(', ')}` : '';
    return `${severity}: ${subject}: ${problem}${affected}`;
  },
  summary({ bytes, ...walked }: Walked, { error, note }: Counts): string {
    const counts = Object.entries(walked).map(([kind, count]) => `${count} ${kind}`);
    const read = bytes > 0 ? ` (${bytes} bytes read)` : '';
    return `checked ${counts.join(', ')}${read}: ${plural(error, 'error')}, ${plural(note, 'note')}`;
  },
};

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
