// berth user link, unlink and identities: the sign-on identities of users.

import { Command } from 'commander';
import { accountNamed } from '../administration/accounts.ts';
import { IdentityTaken, linkIdentity, unlinkIdentity } from '../administration/identities.ts';
import type { Config } from '../config/schema.ts';
import { listIdentities } from '../db/identities.ts';
import { Failure } from '../failure.ts';
import { administer, consult, withAdministrationFlags, withExamples } from './administration.ts';
import type { Context } from './context.ts';
import { table } from './table.ts';

interface Flags {
  readonly issuer?: string;
  readonly subject: string;
}

function withIdentityFlags(command: Command): Command {
  return withAdministrationFlags(command)
    .argument('<name>', 'The user.')
    .option('--issuer <url>', 'The issuer, exactly as in its ID tokens (iss); default: signOn.issuer.')
    .requiredOption(
      '--subject <text>',
      'The subject at the issuer (sub); usually not a name or a mail address.',
    );
}

/** @throws Failure when neither the flag nor the configuration names the issuer */
function identityOf({ issuer, subject }: Flags, config: Config) {
  const own = issuer ?? config.signOn?.issuer;
  if (own === undefined) throw new Failure('--issuer is needed: the configuration has no signOn.issuer');
  return { issuer: own, subject };
}

export function linkCommand(context: Context): Command {
  const command = withIdentityFlags(new Command('link'))
    .description('Link a user to an identity of the sign-on provider.')
    .action(async (name: string, flags: Flags, command: Command) => {
      await administer(command, context, async (database, config) => {
        const identity = identityOf(flags, config);
        try {
          const isNew = await linkIdentity(database, name, identity);
          return {
            text: isNew ? `linked ${name}\n` : `${name} is already linked\n`,
            json: { user: name, ...identity },
          };
        } catch (error) {
          if (!(error instanceof IdentityTaken)) throw error;
          throw new Failure(
            `${error.message}: berth user identities shows its user, and berth user unlink removes it`,
          );
        }
      });
    });
  return withExamples(
    command,
    'berth user link alice --subject 248289761001                            at the provider of the configuration',
    'berth user link alice --issuer https://accounts.google.com --subject 10769150350006150715113082367',
  );
}

export function unlinkCommand(context: Context): Command {
  const command = withIdentityFlags(new Command('unlink'))
    .description('Unlink a sign-on identity from a user; its sessions and their tokens end.')
    .action(async (name: string, flags: Flags, command: Command) => {
      await administer(command, context, async (database, config) => {
        const identity = identityOf(flags, config);
        await unlinkIdentity(database, name, identity);
        return {
          text: `unlinked ${name}\n`,
          json: { user: name, ...identity },
        };
      });
    });
  return withExamples(command, 'berth user unlink alice --subject 248289761001');
}

export function identitiesCommand(context: Context): Command {
  const command = withAdministrationFlags(new Command('identities'))
    .description('List users with their identities at the sign-on provider.')
    .argument('[name]', 'Only identities of this user.')
    .action(async (name: string | undefined, _flags, command: Command) => {
      await consult(command, context, async ({ read }) => {
        const account = name === undefined ? undefined : (await accountNamed(read, name, 'user')).id;
        const identities = await listIdentities(read, account);
        return {
          text: table(
            ['USER', 'ISSUER', 'SUBJECT'],
            identities.map(({ user, issuer, subject }) => [user, issuer, subject]),
          ),
          json: identities,
        };
      });
    });
  return withExamples(command, 'berth user identities', 'berth user identities alice --json');
}
