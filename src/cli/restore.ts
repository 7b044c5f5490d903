// berth restore: restores a backup into an empty database.

import type { Command } from 'commander';
import { databasePlace, storePlace } from '../config/places.ts';
import { rowsIn } from '../core/backup/back-up.ts';
import { readContents } from '../core/backup/contents.ts';
import { requireRestorable, restore } from '../core/backup/restore.ts';
import { verifyRows } from '../core/backup/verify-backup.ts';
import { printBytes } from '../core/print-bytes.ts';
import { Failure } from '../failure.ts';
import { openStore } from '../open.ts';
import { blobsLeft, observeWith, openBackup } from './backups.ts';
import { commandActor } from './command-actor.ts';
import { configOf, withRegistryFlags } from './config-flags.ts';
import type { Context } from './context.ts';
import { printRegistry } from './existing.ts';
import { interruptible } from './interrupt.ts';
import { openTarget } from './open-target.ts';
import { Progress } from './progress.ts';

interface Options {
  readonly name?: string;
  readonly blobs?: boolean;
  readonly json?: boolean;
}

export function restoreCommand(command: Command, context: Context): void {
  withRegistryFlags(
    command.argument('[from]', 'the place of the backups, or one backup in it; without it `backup.to`'),
  )
    .option('--name <name>', 'The backup; without it the newest.')
    .option('--blobs', 'Also copy the blobs that the blob store lacks.')
    .option('--json', 'Print JSON, one object a line: progress, problems, then the result.')
    .addHelpText(
      'after',
      `
Stop Berth first. An interrupted restore is continued by the same command.

Examples:
  berth restore /var/backups/berth --blobs
  berth restore s3://backups/berth --name berth-backup-2026-01-31T03-00-00Z`,
    )
    .action(async (from: string | undefined, { json = false, ...options }: Options, command: Command) => {
      const chosen = configOf(command, context);
      const { config } = chosen;
      printRegistry(chosen, context);
      await using opened = new AsyncDisposableStack();
      const { backups, name } = await openBackup(from, { config, named: options.name }, context, opened);
      const contents = await readContents(backups, name);
      if (options.blobs && !contents.blobs.isCopied) {
        throw new Failure(
          `${name} has no blobs: omit --blobs, or restore a backup that was made with --blobs`,
        );
      }
      const store = await openStore(config, { inspectOnly: !options.blobs });
      opened.defer(() => store.close());
      await requireRestorable(contents, store, storePlace(config));

      using progress = new Progress(context, { json });
      const observer = observeWith(progress);
      const again = 'run the same command again to continue';
      const copied = await interruptible(again, async (signal) => {
        // Everything before the first row, so that a damaged backup leaves the database empty.
        progress.begin({ name: 'verifying', unit: 'rows', total: rowsIn(contents) });
        const read = (file: string) => backups.read(name, file);
        await verifyRows({ contents, read, signal, verified: (rows) => observer.done({ count: rows }) });
        const database = await openTarget(config, opened);
        const blobs = options.blobs
          ? { source: await backups.openBlobs({ inspectOnly: true }), target: store }
          : undefined;
        if (blobs) opened.defer(() => blobs.source.close());
        const place = databasePlace(config);
        const by = commandActor();
        return restore({ ...{ database, place, backups, contents, blobs, by, signal, observer } });
      });
      progress[Symbol.dispose]();
      const rows = rowsIn(contents);
      if (json) context.out(`${JSON.stringify({ name, rows, ...(copied && { blobs: copied }) })}\n`);
      else {
        const blobs = copied ? `, ${copied.copied} blobs copied (${printBytes(copied.bytes)})` : '';
        context.out(`restored ${name}: ${rows} rows${blobs}\n${nextSteps}`);
      }
      if (copied && copied.problems > 0) throw blobsLeft(copied.problems, 'restored');
    });
}

const nextSteps = `Now
  1. berth fsck, which names what is missing
  2. berth fsck --repair --yes, after which Berth deletes again; blobs that the backup does not know are kept for deletes.keepUnknownFor
  3. start Berth
`;
