// The command line: one line here for each command.
import { Command } from 'commander';
import manifest from '../../package.json' with { type: 'json' };
import { auditCommand } from './audit.ts';
import { configCommand } from './config.ts';
import type { Context } from './context.ts';
import { endingOf } from './failure.ts';
import { fsckCommand } from './fsck.ts';
import { grantCommand } from './grant.ts';
import { keyCommand } from './key.ts';
import { migrateDbCommand } from './migrate-db.ts';
import { migrateStoreCommand } from './migrate-store.ts';
import { orgCommand } from './org.ts';
import { readOnlyCommand } from './read-only.ts';
import { commandPage } from './reference.ts';
import { repoCommand } from './repo.ts';
import { robotCommand } from './robot.ts';
import { serveCommand } from './serve.ts';
import { teamCommand } from './team.ts';
import { tokenCommand } from './token.ts';
import { trustCommand } from './trust.ts';
import { userCommand } from './user.ts';

/** Runs the command that the arguments name; the answer is the process's exit code. */
export async function run(argv: readonly string[], context: Context): Promise<number> {
  try {
    await program(context).parseAsync(argv, { from: 'user' });
    return 0;
  } catch (error) {
    const { exitCode, text } = endingOf(error);
    context.err(text);
    return exitCode;
  }
}

/** All commands; {@link run} runs them. */
export function program(context: Context): Command {
  const root = new Command('berth').description(manifest.description).version(manifest.version);
  root.addCommand(serveCommand(context));
  root.addCommand(userCommand(context));
  root.addCommand(orgCommand(context));
  root.addCommand(teamCommand(context));
  root.addCommand(robotCommand(context));
  root.addCommand(tokenCommand(context));
  root.addCommand(grantCommand(context));
  root.addCommand(repoCommand(context));
  root.addCommand(fsckCommand(context));
  root.addCommand(auditCommand(context));
  root.addCommand(readOnlyCommand(context));
  root.addCommand(migrateDbCommand(context));
  root.addCommand(migrateStoreCommand(context));
  root.addCommand(trustCommand(context));
  root.addCommand(keyCommand(context));
  root.addCommand(configCommand(context));
  root
    .command('reference')
    .description('Print the reference of all commands, in Markdown.')
    .action(() => context.out(commandPage(root)));
  for (const command of everyCommand(root)) {
    command.exitOverride().configureOutput({ writeOut: context.out, writeErr: context.err });
  }
  return root;
}

function everyCommand(command: Command): Command[] {
  return [command, ...command.commands.flatMap(everyCommand)];
}
