// berth tag: tags, their history, undoing a bad push, and the rules that make tags immutable.
import { subcommands } from './registry-command.ts';
import { tagCommands } from './tag-commands.ts';
import { tagRuleCommands } from './tag-rule.ts';

export const tagCommand = subcommands(...tagCommands, tagRuleCommands);
