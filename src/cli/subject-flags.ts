// Flags that name the account of a command: one flag for each kind.
import { type Command, Option } from 'commander';

const placeholders = { user: '<name>', team: '<org/team>', robot: '<namespace+name>' };

type Kind = keyof typeof placeholders;

export interface Subject<K extends Kind = Kind> {
  readonly kind: K;
  readonly name: string;
}

/** @param descriptions the help of each flag */
export function withSubjectFlags<K extends Kind>(
  command: Command,
  descriptions: Readonly<Record<K, string>>,
): Command {
  const kinds = Object.keys(descriptions) as K[];
  for (const kind of kinds) {
    const option = new Option(`--${kind} ${placeholders[kind]}`, descriptions[kind]);
    command.addOption(option.conflicts(kinds.filter((other) => other !== kind)));
  }
  return command;
}

/** The account that the flags name, if any. */
export function subjectOf<K extends Kind>(command: Command, kinds: readonly K[]): Subject<K> | undefined {
  const flags = command.opts<Partial<Record<Kind, string>>>();
  for (const kind of kinds) {
    const name = flags[kind];
    if (name !== undefined) return { kind, name };
  }
  return undefined;
}

/** The account that the flags name; ends the command when there is none. */
export function requireSubject<K extends Kind>(command: Command, kinds: readonly K[]): Subject<K> {
  const subject = subjectOf(command, kinds);
  if (subject !== undefined) return subject;
  return command.error(`error: missing option: ${kinds.map((kind) => `--${kind}`).join(' or ')}`);
}
