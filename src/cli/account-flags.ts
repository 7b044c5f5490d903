// Flags of the commands about accounts.
import { Option } from 'commander';
import type { Visibility } from '../db/schema.ts';
import { UsageError } from '../failure.ts';

export function visibilityOption(): Option {
  return new Option(
    '--default-visibility <visibility>',
    'The visibility of new repositories in the namespace.',
  ).choices(['public', 'private'] satisfies Visibility[]);
}

export interface DisabledFlags {
  readonly disabled?: true;
  readonly enabled?: true;
}

/** @param description the help of `--disabled` */
export function disabledOptions(description: string): readonly Option[] {
  return [
    new Option('--disabled', description).conflicts('enabled'),
    new Option('--enabled', 'Undo --disabled.'),
  ];
}

/** Empty when neither flag is given. */
export function disabledOf({ disabled, enabled }: DisabledFlags): { disabled?: boolean } {
  return disabled || enabled ? { disabled: disabled === true } : {};
}

/** @throws UsageError when there is no change to make */
export function requireChange(changes: object): void {
  if (Object.keys(changes).length === 0)
    throw new UsageError('nothing to change: give an option (see --help)');
}
