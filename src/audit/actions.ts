/** Everything that the audit log has a word for; `docs/reference/audit-events.md` is this table. */
export const auditActions = {
  login:
    'Somebody logged in: a user with a password or token, a robot, a job. Fetching a token for a repository is no login, unless it fails; one that failed has the name that was given.',

  'manifest.push': 'A manifest was pushed. A push that sets several tags is one entry for each of them.',
  'manifest.pull': 'A manifest was pulled; only with `audit.pulls`.',
  'manifest.delete': 'A manifest was deleted, with all its tags: each of them is a `tag.delete` before it.',
  'tag.delete': 'A tag was deleted.',
  'blob.push': 'A blob was uploaded.',
  'blob.mount': 'A blob of another repository, `detail.from`, was made this one’s as well.',
  'blob.pull': 'A blob was pulled, or a part of it; only with `audit.pulls`.',
  'blob.delete': 'A blob was taken from a repository.',

  'api.check': 'Only refused: `GET /v2/`, with which clients try their credentials.',
  'repository.list': 'Only refused: the catalog.',
  'tag.list': 'Only refused: the tags of a repository.',
  'referrer.list': 'Only refused: what refers to a manifest.',
  'upload.start': 'Only refused: an upload was to begin, or a blob to be mounted.',
  'upload.write': 'Only refused: bytes for an upload, or its end.',
  'upload.read': 'Only refused: how far an upload has come.',
  'upload.cancel': 'Only refused: giving up an upload.',
  'metrics.read': 'Only refused: the metrics of this registry, on the listener where clients come to.',
  'account.form':
    'Only refused: a form of the account page that no page of this registry had sent, or of a session that has ended.',

  'user.create': 'An account was made for a person.',
  'user.update':
    'A user was changed: disabled or enabled, made an administrator or not, given another mail address.',
  'user.password': 'A user was given another password.',
  'user.link': 'A sign-on identity was linked to a user, by an administrator or by the user.',
  'user.unlink': 'A sign-on identity was taken from a user, and what began with it has ended.',
  'user.delete': 'A user was deleted.',
  'user.import': 'Users were imported from an htpasswd file.',
  'organisation.create':
    'An organisation was made; `detail.repository` is where a user pushed to a free name.',
  'organisation.update': 'An organisation was changed.',
  'organisation.delete': 'An organisation was deleted.',
  'member.set': 'Somebody was made a member of an organisation, or got another role there.',
  'member.remove': 'Somebody is no member of an organisation any more.',
  'team.create': 'A team was made.',
  'team.update': 'A team was changed.',
  'team.delete': 'A team was deleted.',
  'team.member.add': 'Somebody was put into a team.',
  'team.member.remove': 'Somebody was taken out of a team.',
  'robot.create': 'A robot account was made.',
  'robot.update': 'A robot account was disabled or enabled.',
  'robot.delete': 'A robot account was deleted.',
  'token.create': 'An access token was made.',
  'token.revoke': 'An access token was revoked.',
  'grant.set': 'A role on repositories was given to a user, a team or a robot.',
  'grant.remove': 'A role on repositories was taken away.',
  'repository.update': 'The visibility or another setting of a repository was changed.',
  'repository.delete': 'A repository was deleted.',
  'trust.create': 'An organisation began to trust the jobs of an issuer.',
  'trust.update': 'What a trusted job may do, or which jobs are trusted, was changed.',
  'trust.delete': 'An organisation no longer trusts these jobs.',
  'key.rotate': 'A new key signs tokens from now on.',
  'key.delete': 'A key was taken away; no token that it signed is good any more.',

  'registry.read-only': 'The registry was made read-only, for `detail.reason`.',
  'registry.writable': 'The registry takes writes again.',
  'registry.repair':
    '`berth fsck --repair` changed the database: `detail.did` is `park` or `move` for a blob, or `epoch`.',
  'migration.begin':
    '`berth migrate-db` or `berth migrate-store` began; `detail.part` is `database` or `store`.',
  'migration.end':
    'It copied everything. The end of `berth migrate-db --finish` is in the log of the new database alone.',

  'audit.overflow':
    'Refusals of callers without an account that were too many to be told apart, or did not fit into memory while the database took nothing: `detail.count` of them.',
} as const;

export type AuditAction = keyof typeof auditActions;
