import { userInfo } from 'node:os';
import { commandLineActor } from '../access/actor.ts';
import type { Actor } from '../db/changes.ts';

/** The actor of a command's changes: the user of the operating system. */
export function commandActor(): Actor {
  return commandLineActor(systemUser());
}

function systemUser(): string {
  try {
    return userInfo().username;
  } catch {
    // A container may run as a numeric user without a name.
    return `uid:${process.getuid?.()}`;
  }
}
