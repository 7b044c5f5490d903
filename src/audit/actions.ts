/** The actions of audit entries with their meanings; `docs/reference/audit-events.md` has the same table. */
export const auditActions = {
  login:
    'A login of a user, a robot or a trusted job. A request for a repository token has an entry only if it fails. The entry of a failed login has the user name sent.',

  'manifest.push': 'A manifest was pushed. A push that sets several tags is one entry for each tag.',
  'manifest.copy': 'A manifest was copied, with its blobs, from the repository `detail.from`.',
  'manifest.pull': 'A manifest was pulled; only with `audit.pulls`.',
  'manifest.delete': 'A manifest was deleted with all its tags; each tag has a `tag.delete` before it.',
  'tag.delete': 'A tag was deleted.',
  'manifest.restore': 'A manifest was restored from the trash.',
  'tag.restore': 'A tag was restored from the trash.',
  'tag.rollback': 'A tag was set back to an earlier manifest, or restored after its deletion.',
  'blob.push': 'A blob was uploaded.',
  'blob.mount': 'A blob was mounted from the repository `detail.from`.',
  'blob.pull': 'A blob, or a range of it, was pulled; only with `audit.pulls`.',
  'blob.delete': 'A blob was removed from a repository.',
  'blob.damaged':
    'The stored bytes of a blob were found missing or wrong, as `detail.problem` says; it is not served until it is healed.',
  'blob.healed': 'A damaged blob has its right bytes again, after a push or because they were restored.',

  'api.check': 'Only refused: `GET /v2/`, with which clients check their credentials.',
  'repository.list': 'Only refused: listing the catalog.',
  'tag.list': 'Only refused: listing the tags of a repository.',
  'referrer.list': 'Only refused: listing the referrers of a manifest.',
  'upload.start': 'Only refused: starting an upload, or mounting a blob.',
  'upload.write': 'Only refused: sending bytes of an upload, or completing it.',
  'upload.read': 'Only refused: reading the progress of an upload.',
  'upload.cancel': 'Only refused: cancelling an upload.',
  'metrics.read': 'Only refused: reading the metrics on the main listener.',
  'account.form':
    'Only refused: a form that was not sent from a page of this registry, or whose session has ended.',

  'user.create': 'A user was created.',
  'user.update': 'A setting of a user was changed: disabled, administrator, mail address and the like.',
  'user.password': 'The password of a user was changed or removed.',
  'user.link': 'A sign-on identity was linked to a user, by an administrator or by the user.',
  'user.unlink': 'A sign-on identity was unlinked from a user; its sessions and their tokens ended.',
  'user.delete': 'A user was deleted.',
  'user.import': 'Users were imported from an htpasswd file.',
  'organisation.create':
    'An organisation was created; `detail.repository` is the pushed repository if a push to a free name created it.',
  'organisation.update': 'A setting of an organisation was changed.',
  'organisation.delete': 'An organisation was deleted.',
  'member.set': 'A user was added to an organisation, or the role of a member was changed.',
  'member.remove': 'A user was removed from an organisation.',
  'team.create': 'A team was created.',
  'team.update': 'A team was changed.',
  'team.delete': 'A team was deleted.',
  'team.member.add': 'A user was added to a team.',
  'team.member.remove': 'A user was removed from a team.',
  'robot.create': 'A robot was created.',
  'robot.update': 'A robot was disabled or enabled.',
  'robot.delete': 'A robot was deleted.',
  'token.create': 'An access token was created.',
  'token.revoke': 'An access token was revoked.',
  'grant.set': 'A user, a robot or a team was given a role on repositories.',
  'grant.remove': 'A grant was removed.',
  'repository.update': 'The visibility or another setting of a repository was changed.',
  'repository.delete':
    'A repository was deleted; `detail.permanently` is true if the trash does not keep it.',
  'repository.restore':
    'A repository was restored from the trash; `detail.from` is its former name if it got another.',
  'trash.empty':
    '`berth trash empty` began to delete for good what was in the trash, of `detail.name` or of the whole registry.',
  'repository.rename':
    'A repository was renamed; `detail.from` is its former name, and `detail.aliasUntil` is when that ceases to work.',
  'alias.delete': 'A former name of a repository was deleted; `detail.alias` is the former name.',
  'tag.rule.add':
    'A rule that makes tags immutable was added, for a repository or for `detail.namespace`; `detail.rule` is the rule.',
  'tag.rule.remove': 'A rule that made tags immutable was removed.',
  'quota.set':
    'A quota was set for a repository or for `detail.namespace`; `detail` has the changed limits, where 0 is no limit and null the configured one.',
  'quota.delete': 'The quota of a repository or of `detail.namespace` was deleted.',
  'retention.set':
    'A retention policy was set, for a repository, for `detail.namespace` or for the registry; `detail.policy` is the policy, with durations in milliseconds.',
  'retention.delete': 'A retention policy was deleted.',
  'repository.adopt':
    '`berth adopt` added content of an existing storage tree to a repository; `detail` has the numbers of `blobs`, `manifests` and `tags`. A large repository has several entries.',
  'trust.create': 'A trust was created: an organisation accepts ID tokens of an issuer.',
  'trust.update': 'The rules, the scopes or another setting of a trust was changed.',
  'trust.delete': 'A trust was deleted.',
  'key.rotate': 'A new signing key was created and signs tokens from now on.',
  'key.delete': 'A signing key was deleted; the tokens that it signed are invalid.',

  'registry.read-only': 'The registry was made read-only; the reason is `detail.reason`.',
  'registry.writable': 'The registry was made writable again.',
  'gc.pause': 'Garbage collection was paused; the reason is `detail.reason`.',
  'gc.resume': 'Garbage collection was resumed.',
  'registry.repair':
    '`berth fsck --repair` changed the database: `detail.did` is `park` or `move` for a blob, `epoch`, or `usage` for a recount.',
  'registry.restore':
    '`berth restore` restored the database from the backup `detail.backup`; later entries are of the restored registry.',
  'migration.begin':
    '`berth migrate-db` or `berth migrate-store` began; `detail.part` is `database` or `store`.',
  'migration.end':
    '`berth migrate-db` or `berth migrate-store` has copied everything. For `migrate-db --finish` the entry is only in the new database.',

  'audit.overflow':
    'Refusals of callers without an account that were too many to record separately, or that did not fit into memory while the database was unavailable; `detail.count` is their number.',
} as const;

export type AuditAction = keyof typeof auditActions;
