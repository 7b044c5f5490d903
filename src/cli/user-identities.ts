// berth user link, unlink and identities: the sign-on identities of users.
import { Argument, Option } from 'commander';
import { accountNamed } from '../administration/accounts.ts';
import { IdentityTaken, linkIdentity, unlinkIdentity } from '../administration/identities.ts';
import type { Config } from '../config/schema.ts';
import { listIdentities } from '../db/identities.ts';
import { Failure, UsageError } from '../failure.ts';
import { listAnswer } from './answer.ts';
import type { RegistryCommand } from './registry-command.ts';

interface Flags {
  readonly issuer?: string;
  readonly subject: string;
}

const user = new Argument('<name>', 'The user.');
const options = [
  new Option('--issuer <url>', 'The issuer, exactly as in its ID tokens (iss); default: signOn.issuer.'),
  new Option(
    '--subject <text>',
    'The subject at the issuer (sub); usually not a name or a mail address.',
  ).makeOptionMandatory(),
];

export const identityCommands: readonly RegistryCommand[] = [
  {
    name: 'link',
    description: 'Link a user to an identity of the sign-on provider.',
    arguments: [user],
    options,
    examples: [
      'berth user link alice --subject 248289761001                            at the provider of the configuration',
      'berth user link alice --issuer https://accounts.google.com --subject 10769150350006150715113082367',
    ],
    async run(invocation, name: string, flags: Flags) {
      const database = await invocation.openForChanges();
      const identity = identityOf(flags, invocation.config);
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
    },
  },
  {
    name: 'unlink',
    description: 'Unlink a sign-on identity from a user; its sessions and their tokens end.',
    arguments: [user],
    options,
    examples: ['berth user unlink alice --subject 248289761001'],
    async run(invocation, name: string, flags: Flags) {
      const database = await invocation.openForChanges();
      const identity = identityOf(flags, invocation.config);
      await unlinkIdentity(database, name, identity);
      return { text: `unlinked ${name}\n`, json: { user: name, ...identity } };
    },
  },
  {
    name: 'identities',
    description: 'List users with their identities at the sign-on provider.',
    arguments: [new Argument('[name]', 'Only identities of this user.')],
    examples: ['berth user identities', 'berth user identities alice --json'],
    async run(invocation, name: string | undefined) {
      const { read } = await invocation.openForReading();
      const account = name === undefined ? undefined : (await accountNamed(read, name, 'user')).id;
      return listAnswer(await listIdentities(read, account), {
        USER: ({ user }) => user,
        ISSUER: ({ issuer }) => issuer,
        SUBJECT: ({ subject }) => subject,
      });
    },
  },
];

/** @throws UsageError when neither the flag nor the configuration names the issuer */
function identityOf({ issuer, subject }: Flags, config: Config) {
  const own = issuer ?? config.signOn?.issuer;
  if (own === undefined) throw new UsageError('give the issuer: --issuer <url>, or configure signOn.issuer');
  return { issuer: own, subject };
}
