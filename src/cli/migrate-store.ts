// berth migrate-store: copies the blobs to another store, while the registry runs.

import type { Command } from 'commander';
import { migrateStore } from '../core/migrate/migrate-store.ts';
import { printBytes } from '../core/print-bytes.ts';
import { countStoredBlobs } from '../db/fsck.ts';
import { Failure } from '../failure.ts';
import { openStore } from '../open.ts';
import { commandActor } from './command-actor.ts';
import type { Context } from './context.ts';
import { openExisting } from './existing.ts';
import { interruptible } from './interrupt.ts';
import {
  type MigrationOptions,
  type Move,
  moveOf,
  numbered,
  sameDatabase,
  sameStore,
  withMigrationFlags,
} from './migration.ts';
import { Progress } from './progress.ts';

export function migrateStoreCommand(command: Command, context: Context): void {
  withMigrationFlags(command, 'migrate-store').action(async (options: MigrationOptions, command: Command) => {
    const { finish = false, json = false } = options;
    const move = moveOf(command, context, options);
    if (sameStore(move))
      throw new Failure(`${move.file} has the same blob store as the current configuration`);

    await using opened = new AsyncDisposableStack();
    const database = await openExisting(move.from, context);
    opened.defer(() => database.close());
    const source = await openStore(move.from.config, { inspectOnly: true });
    opened.defer(() => source.close());
    const target = await openStore(move.to);
    opened.defer(() => target.close());

    using progress = new Progress(context, { json });
    const copied = await interruptible(
      'copied blobs are kept: run the same command again to continue',
      (signal) =>
        migrateStore(
          {
            database,
            source,
            target,
            by: commandActor(),
            signal,
            begin: async (since) => {
              const { blobs, bytes } = await countStoredBlobs(database.read, since);
              const name = since === 0 ? 'copying' : 'copying new blobs';
              progress.begin({ name, unit: 'blobs', total: blobs, totalBytes: bytes });
            },
            done: ({ blobs = 0, bytes = 0 }) => progress.add({ count: blobs, bytes }),
            problem: (problem) => progress.problem(problem),
          },
          finish ? move : undefined,
        ),
    );
    progress[Symbol.dispose]();
    if (json) return context.out(`${JSON.stringify({ ...copied, finished: finish })}\n`);
    context.out(
      `${copied.blobs} blobs in the new store, ${copied.copied} of them copied now (${printBytes(copied.bytes)})\n`,
    );
    context.out(
      finish
        ? nextSteps(move)
        : 'run it again to copy new blobs, and with --finish to finish the migration\n',
    );
  });
}

function nextSteps(move: Move): string {
  const { file } = move;
  const rows = `berth migrate-db --to ${file} --finish, with the configuration of this command, if you have not run it yet`;
  const steps = sameDatabase(move)
    ? ['stop Berth', `berth read-only off --config ${file}`, `start it with ${file}`]
    : [rows, 'stop Berth', `start it with ${file}`];
  return `every blob is in the new store, and the registry is read-only. Now
${numbered(steps)}
To go back instead, run \`berth read-only off\` with the configuration of this command.
`;
}
