// The command line: one entry here for each command, whose file is loaded once the command is wanted.
import { Command } from 'commander';
import manifest from '../../package.json' with { type: 'json' };
import { endingOf } from '../failure.ts';
import type { Context } from './context.ts';

/** Gives a command, which has its name and description, its arguments, flags, action and subcommands. */
type Define = (command: Command, context: Context) => void;

interface Entry {
  readonly name: string;
  readonly description: string;
  readonly load: () => Promise<Define>;
}

const entries: readonly Entry[] = [
  {
    name: 'serve',
    description: 'Run the registry.',
    load: async () => (await import('./serve.ts')).serveCommand,
  },
  {
    name: 'user',
    description: 'People: make, change, show and delete their accounts.',
    load: async () => (await import('./user.ts')).userCommand,
  },
  {
    name: 'org',
    description: 'Organisations: a namespace each, with members, teams and robots.',
    load: async () => (await import('./org.ts')).orgCommand,
  },
  {
    name: 'team',
    description: "An organisation's teams, which are granted rights together.",
    load: async () => (await import('./team.ts')).teamCommand,
  },
  {
    name: 'robot',
    description: 'Robots: accounts of machines, which log in with tokens alone.',
    load: async () => (await import('./robot.ts')).robotCommand,
  },
  {
    name: 'token',
    description: 'Access tokens, which stand in for a password in `docker login`.',
    load: async () => (await import('./token.ts')).tokenCommand,
  },
  {
    name: 'grant',
    description: 'Grants: who may do what with which repositories.',
    load: async () => (await import('./grant.ts')).grantCommand,
  },
  {
    name: 'repo',
    description: 'Repositories, and whether everyone may pull them.',
    load: async () => (await import('./repo.ts')).repoCommand,
  },
  {
    name: 'fsck',
    description:
      'Check everything that is stored, in use or not, and change nothing; exit code 1 if anything is wrong.',
    load: async () => (await import('./fsck.ts')).fsckCommand,
  },
  {
    name: 'audit',
    description: 'Read the audit log: who did what, and what was refused.',
    load: async () => (await import('./audit.ts')).auditCommand,
  },
  {
    name: 'read-only',
    description: 'Let the registry take no more writes, or take them again; it may be running.',
    load: async () => (await import('./read-only.ts')).readOnlyCommand,
  },
  {
    name: 'migrate-db',
    description:
      'Copy the database into that of another configuration, SQLite or PostgreSQL, while the registry runs.',
    load: async () => (await import('./migrate-db.ts')).migrateDbCommand,
  },
  {
    name: 'migrate-store',
    description: 'Copy all blobs to the store of another configuration, while the registry runs.',
    load: async () => (await import('./migrate-store.ts')).migrateStoreCommand,
  },
  {
    name: 'trust',
    description:
      'Let jobs elsewhere (GitHub Actions, GitLab CI, Kubernetes) log in with the ID tokens that they have anyway.',
    load: async () => (await import('./trust.ts')).trustCommand,
  },
  {
    name: 'key',
    description:
      "The keys that the registry's own tokens are signed with. The first one is made when it is needed.",
    load: async () => (await import('./key.ts')).keyCommand,
  },
  {
    name: 'config',
    description: 'Look at the configuration without starting anything.',
    load: async () => (await import('./config.ts')).configCommand,
  },
  {
    name: 'reference',
    description: 'Print the reference of all commands, in Markdown.',
    load: async () => (command, context) =>
      command.action(async () => {
        const { commandPage } = await import('./reference.ts');
        context.out(commandPage(await wholeProgram(context)));
      }),
  },
];

/** Runs the command that the arguments name; the answer is the process's exit code. */
export async function run(argv: readonly string[], context: Context): Promise<number> {
  const root = rootCommand(context);
  root.hook('preSubcommand', (_root, command) => define(command, context));
  try {
    await root.parseAsync(helpLast(argv), { from: 'user' });
    return 0;
  } catch (error) {
    const { exitCode, text } = endingOf(error);
    context.err(text);
    return exitCode;
  }
}

/** All commands, with all that they take; to look at. {@link run} runs them. */
export async function wholeProgram(context: Context): Promise<Command> {
  const root = rootCommand(context);
  for (const command of root.commands) await define(command, context);
  return root;
}

/** The names and descriptions alone: what `berth --help` prints. */
function rootCommand(context: Context): Command {
  const root = new Command('berth').description(manifest.description).version(manifest.version);
  for (const { name, description } of entries) root.command(name).description(description);
  printThrough(root, context);
  return root;
}

async function define(command: Command, context: Context): Promise<void> {
  const entry = entries.find(({ name }) => name === command.name())!;
  (await entry.load())(command, context);
  printThrough(command, context);
}

function printThrough(command: Command, context: Context): void {
  command.exitOverride().configureOutput({ writeOut: context.out, writeErr: context.err });
  for (const child of command.commands) printThrough(child, context);
}

/** `help user list` as `user list --help`: Commander's own `help` would print a command before it is loaded. */
function helpLast(argv: readonly string[]): readonly string[] {
  return argv[0] === 'help' && argv.length > 1 ? [...argv.slice(1), '--help'] : argv;
}
