// berth read-only: makes all replicas of a registry refuse writes.

import { type Command, Option } from 'commander';
import { registryPlace } from '../config/places.ts';
import { setReadOnly } from '../core/set-read-only.ts';
import { readOnlyReason } from '../db/read-only.ts';
import { commandActor } from './command-actor.ts';
import { configOf, withRegistryFlags } from './config-flags.ts';
import type { Context } from './context.ts';
import { inspectExisting, openExisting } from './existing.ts';

const defaultReason = 'maintenance';

export function readOnlyCommand(readOnly: Command, context: Context): void {
  withRegistryFlags(readOnly.command('on'))
    .description(
      'Refuse every write with 403 DENIED and the reason, which docker prints; returns when running writes have ended.',
    )
    .addOption(new Option('--reason <text>', 'The reason for clients.').default(defaultReason))
    .action(async ({ reason }: { reason: string }, command: Command) => {
      await set(command, reason);
      context.out(`read-only: ${reason}\n`);
    });

  withRegistryFlags(readOnly.command('off'))
    .description('Accept writes again.')
    .action(async (_options, command: Command) => {
      await set(command, undefined);
      context.out('writable\n');
    });

  withRegistryFlags(readOnly.command('status'))
    .description('Print whether the registry is writable or read-only, with the reason.')
    .action(async (_options, command: Command) => {
      const chosen = configOf(command, context);
      await using opened = new AsyncDisposableStack();
      const database = await inspectExisting(chosen, context);
      opened.defer(() => database.close());
      const reason = await readOnlyReason(database.read);
      context.out(
        `${registryPlace(chosen.config)} is ${reason === undefined ? 'writable' : `read-only: ${reason}`}\n`,
      );
    });

  async function set(command: Command, reason: string | undefined): Promise<void> {
    await using opened = new AsyncDisposableStack();
    const database = await openExisting(configOf(command, context), context);
    opened.defer(() => database.close());
    await setReadOnly(database, commandActor(), reason);
  }
}
