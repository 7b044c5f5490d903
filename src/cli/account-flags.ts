// Flags of the commands about accounts.
import { type Command, Option } from 'commander';
import type { Visibility } from '../db/schema.ts';

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

export function withDisabledFlags(command: Command, disabled: string): Command {
  return command
    .addOption(new Option('--disabled', disabled).conflicts('enabled'))
    .addOption(new Option('--enabled', 'Undo --disabled.'));
}

/** Empty when neither flag is given. */
export function disabledOf({ disabled, enabled }: DisabledFlags): { disabled?: boolean } {
  return disabled || enabled ? { disabled: disabled === true } : {};
}

/** Ends a command that has no changes to make. */
export function requireChange(command: Command, changes: object): void {
  if (Object.keys(changes).length === 0)
    command.error('error: nothing to change: give an option (see --help)');
}

export function yesOrNo(value: boolean): string {
  return value ? 'yes' : 'no';
}
