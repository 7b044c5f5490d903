// berth fsck: compares everything that is stored with what was promised.
import { Command } from 'commander';
import type { Finding, Walked } from '../core/fsck/walk.ts';
import { configOf, withConfigFlags } from './config-flags.ts';
import type { Context } from './context.ts';
import { inspectExisting, placeOf } from './existing.ts';
import { Failure } from './failure.ts';

interface Options {
  readonly readData?: boolean;
  readonly json?: boolean;
}

export function fsckCommand(context: Context): Command {
  return withConfigFlags(new Command('fsck'))
    .description(
      'Check everything that is stored, in use or not, and change nothing; exit code 1 if anything is wrong.',
    )
    .option('--read-data', 'Read every blob and compare it with its digest.')
    .option('--json', 'Print one JSON object a line: findings, then the summary.')
    .action(async ({ readData = false, json = false }: Options, command: Command) => {
      const { config } = configOf(command, context);
      // Here, not above: the other commands need none of it.
      const { openStore } = await import('../open.ts');
      const { fsck } = await import('../core/fsck.ts');

      const print = json ? printJson : printText;
      const count = { error: 0, note: 0 };
      await using opened = new AsyncDisposableStack();
      const database = await inspectExisting(config);
      opened.defer(() => database.close());
      const store = await openStore(config, { inspectOnly: true });
      opened.defer(() => store.close());
      const { missingReferences } = config.manifests;
      const walked = await fsck(
        { database, store, clock: Date.now, readData, missingReferences },
        (finding) => {
          count[finding.severity] += 1;
          context.out(`${print.finding(finding)}\n`);
        },
      );
      context.out(`${print.summary(walked, count)}\n`);
      if (count.error > 0) throw new Failure(`${plural(count.error, 'error')} in ${placeOf(config)}`);
    });
}

type Counts = Readonly<Record<Finding['severity'], number>>;

const printJson = {
  finding: (finding: Finding): string => JSON.stringify(finding),
  summary: (walked: Walked, { error, note }: Counts): string =>
    JSON.stringify({ walked, errors: error, notes: note }),
};

const printText = {
  finding({ severity, subject, problem, affects }: Finding): string {
    const suffers = affects.length > 0 ? `; affects ${affects.join(', ')}` : '';
    return `${severity}: ${subject}: ${problem}${suffers}`;
  },
  summary({ bytes, ...walked }: Walked, { error, note }: Counts): string {
    const things = Object.entries(walked).map(([things, count]) => `${count} ${things}`);
    const read = bytes > 0 ? ` (${bytes} bytes read)` : '';
    return `checked ${things.join(', ')}${read}: ${plural(error, 'error')}, ${plural(note, 'note')}`;
  },
};

function plural(count: number, thing: string): string {
  return `${count} ${thing}${count === 1 ? '' : 's'}`;
}
