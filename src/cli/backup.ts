// berth backup: writes and verifies backups, while the registry runs.

import { type Command, InvalidArgumentError } from 'commander';
import manifest from '../../package.json' with { type: 'json' };
import { type BackedUp, backUp, rowsIn } from '../core/backup/back-up.ts';
import { readContents } from '../core/backup/contents.ts';
import { verifyBlobs, verifyRows } from '../core/backup/verify-backup.ts';
import { printBytes } from '../core/print-bytes.ts';
import { openBackups, openCopies } from '../open.ts';
import { blobsLeft, observeWith, openBackup, placeOf } from './backups.ts';
import { configOf, withRegistryFlags } from './config-flags.ts';
import type { Context } from './context.ts';
import { inspectExisting } from './existing.ts';
import { interruptible } from './interrupt.ts';
import { Progress } from './progress.ts';

export function backupCommand(command: Command, context: Context): void {
  defineCreate(command.command('create', { isDefault: true }), context);
  defineVerify(command.command('verify'), context);
}

interface CreateOptions {
  readonly keep?: number;
  readonly blobs?: boolean;
  readonly json?: boolean;
}

function defineCreate(command: Command, context: Context): void {
  withRegistryFlags(
    command
      .description('Write a backup and verify it. `create` may be omitted: `berth backup DIRECTORY`.')
      .argument('[to]', 'a directory, or `s3://BUCKET/PREFIX`; without it `backup.to` of the configuration'),
  )
    .option('--keep <count>', 'Delete older backups of this registry, so that this many remain.', atLeastOne)
    .option('--blobs', 'Also copy the blobs that the place of the backups lacks.')
    .option('--json', 'Print JSON, one object a line: progress, problems, then the result.')
    .addHelpText(
      'after',
      `
Examples:
  berth backup create /var/backups/berth                      only the database
  berth backup create /var/backups/berth --blobs --keep 7     everything; the last seven backups remain
  berth backup create s3://backups/berth --blobs              to a bucket, with the endpoint and credentials of storage.s3`,
    )
    .action(async (to: string | undefined, { json = false, ...options }: CreateOptions, command: Command) => {
      const chosen = configOf(command, context);
      const { config } = chosen;
      const place = placeOf(to, config);
      await using opened = new AsyncDisposableStack();
      const database = await inspectExisting(chosen, context);
      opened.defer(() => database.close());
      const backups = await openBackups(place, config, context.env);
      opened.defer(async () => backups.close());
      const blobs = options.blobs ? await openCopies(config, backups, opened) : undefined;

      using progress = new Progress(context, { json });
      const done = await interruptible('the unfinished backup was deleted', (signal) =>
        backUp({
          ...{ database, backups, blobs, signal },
          keep: options.keep,
          version: manifest.version,
          observer: observeWith(progress),
        }),
      );
      progress[Symbol.dispose]();
      context.out(json ? `${JSON.stringify(done)}\n` : describe(done, backups.place));
      if (done.problems > 0) throw blobsLeft(done.problems, 'copied');
    });
}

function describe({ name, rows, bytes, blobs, problems, pruned }: BackedUp, place: string): string {
  const lines = [`${name} in ${place}: ${rows} rows (${printBytes(bytes)}), verified`];
  if (blobs !== undefined) lines.push(`${blobs.copied} blobs copied (${printBytes(blobs.bytes)})`);
  if (problems > 0) lines.push('no older backup was deleted');
  for (const old of pruned) lines.push(`deleted ${old}`);
  return `${lines.join('\n')}\n`;
}

interface VerifyOptions {
  readonly name?: string;
  readonly json?: boolean;
}

function defineVerify(command: Command, context: Context): void {
  withRegistryFlags(
    command
      .description(
        'Read a backup, and compare it with its checksums and counts, and its copies of blobs with their sizes; exit code 1 if they differ.',
      )
      .argument(
        '[from]',
        'the place of the backups, or one backup in it; without it `backup.to` of the configuration',
      ),
  )
    .option('--name <name>', 'The backup; without it the newest.')
    .option('--json', 'Print JSON, one object a line: progress, problems, then the result.')
    .addHelpText(
      'after',
      `
Examples:
  berth backup verify /var/backups/berth
  berth backup verify s3://backups/berth/berth-backup-2026-01-31T03-00-00Z`,
    )
    .action(async (from: string | undefined, options: VerifyOptions, command: Command) => {
      const { json = false, name: named } = options;
      const { config } = configOf(command, context);
      await using opened = new AsyncDisposableStack();
      const { backups, name } = await openBackup(from, { config, named }, context, opened);
      const contents = await readContents(backups, name);
      const read = (file: string) => backups.read(name, file);
      using progress = new Progress(context, { json });
      progress.begin({ name: 'verifying', unit: 'rows', total: rowsIn(contents) });
      const problems = await interruptible('nothing was changed', async (signal) => {
        const verified = (rows: number) => progress.add({ count: rows });
        await verifyRows({ contents, read, signal, verified });
        if (!contents.blobs.isCopied) return 0;
        const blobs = await backups.openBlobs({ inspectOnly: true });
        opened.defer(() => blobs.close());
        return verifyBlobs({ contents, read, signal }, blobs, (text) => progress.problem(text));
      });
      progress[Symbol.dispose]();
      const rows = rowsIn(contents);
      const { count, isCopied } = contents.blobs;
      const blobs = isCopied ? `, ${count - problems} of ${count} blobs` : ', no blobs';
      context.out(
        json
          ? `${JSON.stringify({ name, rows, blobs: contents.blobs, problems })}\n`
          : `${name} in ${backups.place}: ${rows} rows${blobs}, taken ${contents.takenAt} by Berth ${contents.berth}\n`,
      );
      if (problems > 0) throw blobsLeft(problems, 'verified');
    });
}

function atLeastOne(text: string): number {
  if (/^[1-9]\d{0,4}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('allowed: a number from 1 to 99999');
}
