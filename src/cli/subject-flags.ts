// Flags that name the account of a command: one flag for each kind.
import { Option } from 'commander';
import { UsageError } from '../failure.ts';

const placeholders = { user: '<name>', team: '<org/team>', robot: '<namespace+name>' };

type Kind = keyof typeof placeholders;

export interface Subject<K extends Kind = Kind> {
  readonly kind: K;
  readonly name: string;
}

export type SubjectFlags = Readonly<Partial<Record<Kind, string>>>;

/** Options that exclude each other. @param descriptions the help of each */
export function subjectOptions<K extends Kind>(descriptions: Readonly<Record<K, string>>): readonly Option[] {
  const kinds = Object.keys(descriptions) as K[];
  return kinds.map((kind) =>
    new Option(`--${kind} ${placeholders[kind]}`, descriptions[kind]).conflicts(
      kinds.filter((other) => other !== kind),
    ),
  );
}

/** The account that the flags name, if any. */
export function subjectOf<K extends Kind>(flags: SubjectFlags, kinds: readonly K[]): Subject<K> | undefined {
  for (const kind of kinds) {
    const name = flags[kind];
    if (name !== undefined) return { kind, name };
  }
  return undefined;
}

/** The account that the flags name. @throws UsageError when there is none */
export function requireSubject<K extends Kind>(flags: SubjectFlags, kinds: readonly K[]): Subject<K> {
  const subject = subjectOf(flags, kinds);
  if (subject !== undefined) return subject;
  throw new UsageError(`missing option: ${kinds.map((kind) => `--${kind}`).join(' or ')}`);
}
