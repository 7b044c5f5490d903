// berth user import-htpasswd: the users of a registry that had them in a file.
import { Command, InvalidArgumentError, Option } from 'commander';
import { readTextFile } from '../config/text-file.ts';
import { Failure } from '../failure.ts';
import { administer, withAdministrationFlags, withCreateFlag, withExamples } from './administration.ts';
import type { Context } from './context.ts';

interface Flags {
  readonly admin?: string[];
  readonly skipUnsupported?: true;
  readonly rename: ReadonlyMap<string, string>;
}

export function importHtpasswdCommand(context: Context): Command {
  const command = withCreateFlag(withAdministrationFlags(new Command('import-htpasswd')))
    .description(
      'Make a user of each entry of an htpasswd file, with the password that it has; who is there already stays as they are.',
    )
    .argument('<file>', 'The htpasswd file; its passwords have to be hashed with bcrypt.')
    .option('--admin <name...>', 'Who of them administer the registry.')
    .addOption(
      new Option(
        '--rename <old=new>',
        'The user who is OLD in the file is called NEW here; may be given more than once.',
      )
        .argParser(parseRename)
        .default(new Map(), 'none'),
    )
    .option('--skip-unsupported', 'Leave out what cannot be imported, rather than to import nothing.')
    .action(async (file: string, { admin, skipUnsupported, rename: renames }: Flags, command: Command) => {
      const read = readTextFile(file);
      if (!('text' in read)) throw new Failure(`${file} cannot be read: ${read.reason}`);
      const { importHtpasswd } = await import('../administration/import-htpasswd.ts');
      await administer(command, context, async (database) => {
        const options = {
          renames,
          ...(admin && { administrators: admin }),
          ...(skipUnsupported && { skipUnsupported }),
        };
        const { imported, existing, skipped } = await importHtpasswd(database, read.text, options);
        const lines = [
          `imported ${imported.length} of ${imported.length + existing.length + skipped.length} users`,
          ...existing.map((name) => `${name} is there already, and was not changed`),
          ...skipped.map(({ line, reason }) => `line ${line} was left out: ${reason}`),
        ];
        return {
          text: `${lines.join('\n')}\n`,
          json: { imported, existing, skipped },
        };
      });
    });
  return withExamples(
    command,
    'berth user import-htpasswd /auth/htpasswd --admin alice    alice administers the registry',
    'berth user import-htpasswd old.htpasswd --skip-unsupported bcrypt entries alone',
    "berth user import-htpasswd htpasswd --rename 'Dev=dev' --rename 'robot$ci=robot-ci'",
  );
}

/** No new name has a `=` in it; an old one may. */
function parseRename(text: string, before: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  const end = text.lastIndexOf('=');
  const [old, name] = [text.slice(0, Math.max(end, 0)), text.slice(end + 1)];
  if (old === '' || name === '') throw new InvalidArgumentError('It has to be OLD=NEW.');
  if (before.has(old)) throw new InvalidArgumentError(`${old} is renamed twice.`);
  return new Map([...before, [old, name]]);
}
