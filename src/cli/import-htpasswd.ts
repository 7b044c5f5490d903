// berth user import-htpasswd: imports the users of an htpasswd file.
import { Argument, InvalidArgumentError, Option } from 'commander';
import { importHtpasswd } from '../administration/import-htpasswd.ts';
import { readTextFile } from '../config/text-file.ts';
import { Failure } from '../failure.ts';
import type { RegistryCommand } from './registry-command.ts';

interface Flags {
  readonly admin?: string[];
  readonly skipUnsupported?: true;
  readonly rename: ReadonlyMap<string, string>;
}

export const importHtpasswdCommand: RegistryCommand = {
  name: 'import-htpasswd',
  description:
    'Create a user for each entry of an htpasswd file, with its password; existing users do not change.',
  arguments: [new Argument('<file>', 'The htpasswd file, with passwords hashed with bcrypt.')],
  options: [
    new Option('--admin <name...>', 'The users who become administrators.'),
    new Option('--rename <old=new>', 'Import the user OLD under the name NEW; may be given more than once.')
      .argParser(parseRename)
      .default(new Map(), 'none'),
    new Option(
      '--skip-unsupported',
      'Skip entries that cannot be imported; without it, one such entry stops the import.',
    ),
  ],
  examples: [
    'berth user import-htpasswd /auth/htpasswd --admin alice    alice administers the registry',
    'berth user import-htpasswd old.htpasswd --skip-unsupported only bcrypt entries',
    "berth user import-htpasswd htpasswd --rename 'Dev=dev' --rename 'robot$ci=robot-ci'",
  ],
  mayCreate: true,
  async run(invocation, file: string, { admin, skipUnsupported, rename: renames }: Flags) {
    const read = readTextFile(file);
    if (!('text' in read)) throw new Failure(`${file} cannot be read: ${read.reason}`);
    const { imported, existing, skipped } = await importHtpasswd(
      await invocation.openForChanges(),
      read.text,
      {
        renames,
        ...(admin && { administrators: admin }),
        ...(skipUnsupported && { skipUnsupported }),
      },
    );
    const lines = [
      `imported ${imported.length} of ${imported.length + existing.length + skipped.length} users`,
      ...existing.map((name) => `${name} already exists and was not changed`),
      ...skipped.map(({ line, reason }) => `skipped line ${line}: ${reason}`),
    ];
    return { text: `${lines.join('\n')}\n`, json: { imported, existing, skipped } };
  },
};

/** Splits at the last `=`: an old name may contain one, a new name may not. */
function parseRename(text: string, before: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  const end = text.lastIndexOf('=');
  const [old, name] = [text.slice(0, Math.max(end, 0)), text.slice(end + 1)];
  if (old === '' || name === '') throw new InvalidArgumentError('Expected OLD=NEW.');
  if (before.has(old)) throw new InvalidArgumentError(`${old} is renamed twice.`);
  return new Map([...before, [old, name]]);
}
