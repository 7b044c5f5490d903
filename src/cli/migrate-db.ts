// berth migrate-db: copies the database into another one, SQLite or PostgreSQL, while the registry runs.

import type { Command } from 'commander';
import { migrateDatabase } from '../core/migrate/migrate-database.ts';
import { Failure } from '../failure.ts';
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
import { openTarget } from './open-target.ts';
import { Progress } from './progress.ts';

export function migrateDbCommand(command: Command, context: Context): void {
  withMigrationFlags(command, 'migrate-db').action(async (options: MigrationOptions, command: Command) => {
    const { finish = false, json = false } = options;
    const move = moveOf(command, context, options);
    if (sameDatabase(move))
      throw new Failure(`${move.file} has the same database as the current configuration`);

    await using opened = new AsyncDisposableStack();
    const source = await openExisting(move.from, context);
    opened.defer(() => source.close());
    const target = await openTarget(move.to, opened);

    using progress = new Progress(context, { json });
    const began = performance.now();
    const results = await interruptible(
      'copied rows are kept: run the same command again to continue',
      (signal) =>
        migrateDatabase(
          {
            source,
            target,
            by: commandActor(),
            signal,
            begin: (name, rows) => progress.begin({ name, unit: 'rows', total: rows }),
            compared: (rows) => progress.add({ count: rows }),
            problem: (problem) => progress.problem(problem),
          },
          finish ? move : undefined,
        ),
    );
    progress[Symbol.dispose]();
    if (json) return context.out(`${JSON.stringify({ tables: results, finished: finish })}\n`);
    for (const { table, rows, inserted, updated, deleted, left } of results) {
      const changes = [`${inserted} inserted`, `${updated} updated`, `${deleted} deleted`];
      if (left > 0) changes.push(`${left} for the next run`);
      context.out(`${table}: ${rows} rows${finish ? ', the same in both' : `, ${changes.join(', ')}`}\n`);
    }
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    context.out(
      finish
        ? nextSteps(move)
        : `${seconds} s; run it again to copy new changes, and with --finish to finish the migration\n`,
    );
  });
}

function nextSteps(move: Move): string {
  const { file } = move;
  const blobs = `berth migrate-store --to ${file} --finish, with the configuration of this command, if you have not run it yet`;
  const steps = [...(sameStore(move) ? [] : [blobs]), 'stop Berth', `start it with ${file}`];
  return `all rows of the databases are the same, and the registry is read-only. Now
${numbered(steps)}
Open uploads were ended; their clients must start again.
To go back instead, run \`berth read-only off\` with the configuration of this command, and drop the copy.
`;
}
