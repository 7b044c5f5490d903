import { userInfo } from 'node:os';
import { commandLineActor } from '../access/actor.ts';
import type { Actor } from '../db/changes.ts';

/** The actor of what this command changes: the user of the operating system. */
export function commandActor(): Actor {
  return commandLineActor(systemUser());
}

function systemUser(): string {
  try {
    return userInfo().username;
  } catch {
    // In a container with any number for a user, the user has no name.
    return `uid:${process.getuid?.()}`;
  }
}
