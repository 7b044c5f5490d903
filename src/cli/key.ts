// berth key: the signing keys of the token server.

import { Command } from 'commander';
import { rotateSigningKeys } from '../administration/signing-keys.ts';
import { listSigningKeys, type SigningKeyRow } from '../db/signing-keys.ts';
import { administer, consult, withAdministrationFlags, withExamples } from './administration.ts';
import type { Context } from './context.ts';
import { showTime, table } from './table.ts';

export function keyCommand(key: Command, context: Context): void {
  key.addCommand(listCommand(context));
  key.addCommand(rotateCommand(context));
}

function listCommand(context: Context): Command {
  return withAdministrationFlags(new Command('list'))
    .description('List the keys, without key material.')
    .action(async (_options, command: Command) =>
      consult(command, context, async (database) => {
        const keys = await listSigningKeys(database.read);
        const rows = keys.map((one) => [one.id, showTime(one.created_at), useOf(one)]);
        return { text: table(['ID', 'CREATED', 'USE'], rows), json: keys.map(asJson) };
      }),
    );
}

function rotateCommand(context: Context): Command {
  const command = withAdministrationFlags(new Command('rotate'))
    .description('Create a new signing key; old keys verify until their last token expires.')
    .option(
      '--revoke',
      'Delete the old keys: within 15 seconds all tokens that they signed are invalid, and all clients must log in again.',
    )
    .action(async ({ revoke = false }: { revoke?: boolean }, command: Command) =>
      administer(command, context, async (database, { access }) => {
        const { id, removed } = await rotateSigningKeys(database, { ...access, revoke });
        const verifying = (await listSigningKeys(database.read)).filter((one) => one.id !== id);
        const old = [
          ...removed.map((one) => `removed ${one}\n`),
          ...verifying.map((one) => `${one.id} verifies until its last token expires\n`),
        ];
        return {
          text: [`${id} signs from now on\n`, ...old].join(''),
          json: { id, removed, verifying: verifying.map((one) => one.id) },
        };
      }),
    );
  return withExamples(command, 'berth key rotate', 'berth key rotate --revoke');
}

function useOf({ retired_at }: SigningKeyRow): string {
  return retired_at === null ? 'signs' : `verifies, retired ${showTime(retired_at)}`;
}

function asJson({ id, created_at, retired_at }: SigningKeyRow) {
  return {
    id,
    createdAt: showTime(created_at),
    retiredAt: retired_at === null ? null : showTime(retired_at),
  };
}
