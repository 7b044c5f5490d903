// Rights in a repository, and the roles and token actions that stand for sets of them.
import type { Role } from '../db/schema.ts';

/**
 * `create`: push content and new tags. `update`: move an existing tag. `settings`: change visibility and the like. `members`:
 * grant rights to others.
 */
export type Right = 'pull' | 'create' | 'update' | 'delete' | 'settings' | 'members';

export type Rights = ReadonlySet<Right>;

/** An action of a token's scope; `create` is Berth's own: `push` without moving tags. */
export type Action = 'pull' | 'create' | 'push' | 'delete' | '*';

export const noRights: Rights = new Set();
export const allRights: Rights = new Set(['pull', 'create', 'update', 'delete', 'settings', 'members']);

const ofRole: Readonly<Record<Role, Rights>> = {
  read: new Set(['pull']),
  write: new Set(['pull', 'create', 'update']),
  maintain: new Set(['pull', 'create', 'update', 'delete', 'settings']),
  admin: allRights,
};

const ofAction: Readonly<Record<Action, Rights>> = {
  pull: new Set(['pull']),
  create: new Set(['create']),
  push: new Set(['create', 'update']),
  delete: new Set(['delete']),
  '*': new Set(['pull', 'create', 'update', 'delete']),
};

export const roles = Object.keys(ofRole) as readonly Role[];

export function rightsOfRole(role: Role): Rights {
  return ofRole[role];
}

export function asAction(text: string): Action | undefined {
  return Object.hasOwn(ofAction, text) ? (text as Action) : undefined;
}

export function rightsOfActions(actions: Iterable<Action>): Rights {
  return union([...actions].map((action) => ofAction[action]));
}

export function union(sets: Iterable<Rights>): Rights {
  const all = new Set<Right>();
  for (const rights of sets) for (const right of rights) all.add(right);
  return all;
}

export function intersection(one: Rights, other: Rights): Rights {
  return one.intersection(other);
}
