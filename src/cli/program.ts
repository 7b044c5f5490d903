// The table of commands. Each command's file is loaded only when it runs.
import { Command } from 'commander';
import manifest from '../../package.json' with { type: 'json' };
import { endingOf } from '../failure.ts';
import type { Context, Define } from './context.ts';

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
    description: 'Create, change, show and delete users.',
    load: async () => (await import('./user.ts')).userCommand,
  },
  {
    name: 'org',
    description: 'Manage organisations: namespaces with members, teams and robots.',
    load: async () => (await import('./org.ts')).orgCommand,
  },
  {
    name: 'team',
    description: 'Manage the teams of an organisation, which receive grants.',
    load: async () => (await import('./team.ts')).teamCommand,
  },
  {
    name: 'robot',
    description: 'Manage robots: accounts for machines, which log in with access tokens only.',
    load: async () => (await import('./robot.ts')).robotCommand,
  },
  {
    name: 'token',
    description: 'Manage access tokens, which replace passwords in `docker login`.',
    load: async () => (await import('./token.ts')).tokenCommand,
  },
  {
    name: 'grant',
    description: 'Manage grants: roles of users, teams and robots on repositories.',
    load: async () => (await import('./grant.ts')).grantCommand,
  },
  {
    name: 'repo',
    description: 'Manage repositories and their visibility.',
    load: async () => (await import('./repo.ts')).repoCommand,
  },
  {
    name: 'trash',
    description: 'List, restore, or delete for good what was deleted.',
    load: async () => (await import('./trash.ts')).trashCommand,
  },
  {
    name: 'usage',
    description: 'Show what takes the space of the registry, a namespace or a repository.',
    load: async () => (await import('./usage.ts')).usageCommand,
  },
  {
    name: 'quota',
    description: 'Limit the bytes, tags and repositories of a namespace or a repository.',
    load: async () => (await import('./quota.ts')).quotaCommand,
  },
  {
    name: 'gc',
    description: 'Look at garbage collection, run it, or pause it; the registry may be running.',
    load: async () => (await import('./gc.ts')).gcCommand,
  },
  {
    name: 'scrub',
    description: 'Read all stored blobs to find damaged ones, and list those; the registry may be running.',
    load: async () => (await import('./scrub.ts')).scrubCommand,
  },
  {
    name: 'tag',
    description: 'List, copy, delete and roll back tags, show their history, and make tags immutable.',
    load: async () => (await import('./tag.ts')).tagCommand,
  },
  {
    name: 'retention',
    description: 'Manage which tags are kept, explain it, and apply it.',
    load: async () => (await import('./retention.ts')).retentionCommand,
  },
  {
    name: 'image',
    description: 'Show an image: its platforms, layers, tags and referrers.',
    load: async () => (await import('./image.ts')).imageCommand,
  },
  {
    name: 'adopt',
    description: 'Take over the storage of a CNCF registry (registry:2, registry:3) in place.',
    load: async () => (await import('./adopt.ts')).adoptCommand,
  },
  {
    name: 'export',
    description: 'Write images into an archive, for a registry that this one cannot reach.',
    load: async () => (await import('./export.ts')).exportCommand,
  },
  {
    name: 'import',
    description: 'Push the images of an archive: of `berth export`, `docker save` or an OCI image layout.',
    load: async () => (await import('./import.ts')).importCommand,
  },
  {
    name: 'fsck',
    description: 'Check all stored data and change nothing; exit code 1 on errors.',
    load: async () => (await import('./fsck.ts')).fsckCommand,
  },
  {
    name: 'backup',
    description: 'Back up the database, and the blobs too if you like, while the registry runs.',
    load: async () => (await import('./backup.ts')).backupCommand,
  },
  {
    name: 'restore',
    description: 'Restore a backup into an empty database.',
    load: async () => (await import('./restore.ts')).restoreCommand,
  },
  {
    name: 'audit',
    description: 'Read the audit log of changes, logins and refusals.',
    load: async () => (await import('./audit.ts')).auditCommand,
  },
  {
    name: 'read-only',
    description: 'Make the registry read-only or writable; it may be running.',
    load: async () => (await import('./read-only.ts')).readOnlyCommand,
  },
  {
    name: 'migrate-db',
    description:
      'Copy the database to that of another configuration, SQLite or PostgreSQL, while the registry runs.',
    load: async () => (await import('./migrate-db.ts')).migrateDbCommand,
  },
  {
    name: 'migrate-store',
    description: 'Copy all blobs to the store of another configuration, while the registry runs.',
    load: async () => (await import('./migrate-store.ts')).migrateStoreCommand,
  },
  {
    name: 'trust',
    description: 'Let CI jobs (GitHub Actions, GitLab CI, Kubernetes) log in with their ID tokens.',
    load: async () => (await import('./trust.ts')).trustCommand,
  },
  {
    name: 'key',
    description:
      "Manage the keys that sign the registry's own tokens. Berth creates the first one on demand.",
    load: async () => (await import('./key.ts')).keyCommand,
  },
  {
    name: 'config',
    description: 'Check and print the configuration without starting anything.',
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

/** Runs the command that the arguments name; resolves with the process's exit code. */
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

/** All commands with their arguments and flags, for documentation and tests. {@link run} defines and runs only one. */
export async function wholeProgram(context: Context): Promise<Command> {
  const root = rootCommand(context);
  for (const command of root.commands) await define(command, context);
  return root;
}

/** The commands with names and descriptions only, for `berth --help`. */
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

/** Rewrites `help user list` to `user list --help`: Commander's own `help` prints a command before it is loaded. */
function helpLast(argv: readonly string[]): readonly string[] {
  return argv[0] === 'help' && argv.length > 1 ? [...argv.slice(1), '--help'] : argv;
}
