import {
  bigint,
  bytes,
  type Column,
  type ColumnOf,
  type ColumnType,
  identity,
  nullable,
  optional,
  text,
  textOf,
} from './columns.ts';

/** `public`: everyone who can reach the registry may pull; `private`: only accounts with the right. */
export type Visibility = 'public' | 'private';
export type BlobState = 'stored' | 'deleting' | 'deleted';
export type AccountKind = 'user' | 'organisation' | 'robot';
export type TrashKind = 'tag' | 'manifest' | 'repository';
export type Role = 'read' | 'write' | 'maintain' | 'admin';
export type MemberRole = Role | 'none';

/** The columns of all tables, created by `migrations/`. Times are milliseconds since 1970. */
export const columns = {
  repositories: {
    id: identity,
    name: text,
    created_at: bigint,
    visibility: optional(textOf<Visibility>()),
    /** When it became hidden: since then it contains what is in the trash (see `db/trash.ts`); null for all others. */
    trashed_at: optional(nullable(bigint)),
    /** The repository whose deleted manifests it contains; null for a deleted repository, and for all that are not hidden. */
    trash_of: optional(nullable(bigint)),
  },

  /** Former names of renamed repositories, under which clients still find them. */
  repository_aliases: {
    name: text,
    repository_id: bigint,
    created_at: bigint,
    expires_at: bigint,
  },

  /** One row for each digest that ever had bytes. It stays when they are deleted, so that a generation is never used twice. */
  blobs: {
    digest: text,
    size: bigint,
    /** Selects the key of the bytes; raised by one with each decision to delete them. */
    generation: bigint,
    state: textOf<BlobState>(),
    created_at: bigint,
    /** When a repository last got, referenced or released the blob: its bytes stay for a grace period from then on. */
    review_at: bigint,
    /** When the bytes were found without a row; null for uploaded bytes. */
    parked_at: optional(nullable(bigint)),
    /** Since when no repository holds the blob; null if garbage collection need not look at it. */
    unheld_at: optional(nullable(bigint)),
    /** Since when the bytes are known to be missing or wrong; such a blob is not served, and a push of its digest replaces the bytes. */
    damaged_at: optional(nullable(bigint)),
  },

  /** Blobs that a repository holds: uploaded there, or mounted from a repository where the caller may pull. */
  repository_blobs: {
    repository_id: bigint,
    digest: text,
    created_at: bigint,
    /** The last upload session that uploaded it, with its owner; null if none did, as with a mount. */
    session: optional(nullable(text)),
    /** Since when no manifest of the repository may need the blob; null if garbage collection need not look at it. */
    review_at: optional(nullable(bigint)),
  },

  manifests: {
    id: identity,
    repository_id: bigint,
    digest: text,
    media_type: text,
    size: bigint,
    subject_digest: nullable(text),
    artifact_type: nullable(text),
    created_at: bigint,
    /** Rank among referrers (see `oci/referrer-rank.ts`). */
    rank: optional(bigint),
    /** Bytes of `annotations`, known without reading them. */
    annotations_size: optional(bigint),
    /** JSON object, copied into the referrers listing. */
    annotations: nullable(text),
    bytes: bytes,
  },

  /** The references of manifests that a pull needs: blobs and, for an index, children. */
  manifest_references: {
    manifest_id: bigint,
    digest: text,
    kind: textOf<'blob' | 'child'>(),
    /** The manifest's repository. */
    repository_id: bigint,
  },

  tags: {
    repository_id: bigint,
    name: text,
    manifest_id: bigint,
    updated_at: bigint,
  },

  /** Rules that make tags immutable (`oci/tag-rule.ts`), of a namespace's account or of a repository. */
  tag_rules: {
    id: identity,
    account_id: nullable(bigint),
    repository_id: nullable(bigint),
    rule: text,
    created_at: bigint,
  },

  /** Deleted tags, manifests and repositories that can be restored. */
  trash: {
    id: identity,
    /** Where it was deleted, or the deleted repository itself. */
    repository_id: bigint,
    kind: textOf<TrashKind>(),
    tag: nullable(text),
    /** Of the manifest, or of the one that the tag pointed to. */
    digest: nullable(text),
    /** 1: a tag that was deleted together with its manifest. */
    with_manifest: bigint,
    deleted_at: bigint,
    /** For people (see `printActor`). */
    actor: text,
  },

  uploads: {
    id: text,
    repository_id: bigint,
    algorithm: text,
    /** Bytes received, all of them staged in the store. */
    size: bigint,
    /** Digest of exactly those bytes. */
    digest: text,
    created_at: bigint,
    updated_at: bigint,
    /** The request that writes now, or the process that keeps the lease between requests; null if none. */
    writer: nullable(text),
    writer_until: bigint,
    /** Location of the bytes in the store; opaque to others. */
    staged: text,
    /** The principal that opened the session; no other may use it (see `access/identity.ts`). */
    principal: optional(text),
    /** The principal, or the network of a client without an account, whose limits apply. */
    charged_to: optional(text),
    /** Bytes received between the writer's taking of the lease and its last renewal. */
    receiving: optional(bigint),
  },

  /** Leases of background jobs, which one process at a time runs. */
  leases: {
    name: text,
    holder: text,
    held_until: bigint,
  },

  /** Properties of the whole registry. */
  properties: {
    name: text,
    value: text,
  },

  /** Users, organisations and robots. A user's or an organisation's name is also its namespace; a robot's is `<namespace>+<name>`. */
  accounts: {
    id: identity,
    name: text,
    kind: textOf<AccountKind>(),
    /** The owner of a robot's namespace. */
    owner_id: nullable(bigint),
    /** The user who created the organisation by pushing to its name. */
    claimed_by: optional(nullable(bigint)),
    /** Visibility of new repositories of the namespace. */
    default_visibility: optional(textOf<Visibility>()),
    disabled_at: nullable(bigint),
    created_at: bigint,
  },

  users: {
    account_id: bigint,
    mail: nullable(text),
    /** A hash in PHC or bcrypt format; null: no login with a password. */
    password: nullable(text),
    /** Time of the last change: sessions and tokens of an earlier password are invalid. */
    password_changed_at: bigint,
    /** 0 or 1. */
    administrator: bigint,
    /** 0 or 1: clients cannot log in with the password, only with access tokens. */
    token_only: bigint,
  },

  /** A user's identity at a sign-on provider. */
  identities: {
    id: identity,
    issuer: text,
    subject: text,
    account_id: bigint,
    /** The account name from the provider's claims at the last sign-on, even if the account has another. */
    name: optional(nullable(text)),
  },

  members: {
    organisation_id: bigint,
    account_id: bigint,
    /** On the whole namespace. */
    role: textOf<MemberRole>(),
  },

  teams: {
    id: identity,
    organisation_id: bigint,
    name: text,
    /** The group of the sign-on provider that fills the team. */
    sso_group: nullable(text),
    created_at: bigint,
  },

  team_members: {
    team_id: bigint,
    account_id: bigint,
    source: textOf<'local' | 'sso'>(),
  },

  /** A role of an account, or of a team's members, on all repositories that match a pattern. */
  grants: {
    id: identity,
    pattern: text,
    account_id: nullable(bigint),
    team_id: nullable(bigint),
    role: textOf<Role>(),
    created_at: bigint,
  },

  access_tokens: {
    id: identity,
    account_id: bigint,
    /** Chosen by its owner. */
    name: text,
    /** SHA-256 of the token, in hex; the token is random, so no slow hash is needed. */
    hash: text,
    /** Upper limit of its rights: scopes separated by spaces; empty: all rights of its owner. */
    scopes: text,
    created_at: bigint,
    expires_at: nullable(bigint),
    revoked_at: nullable(bigint),
    last_used_at: nullable(bigint),
    last_used_from: nullable(text),
    /** Origin of the session in which it was created (see `origins.ts`); all null: created by an administrator. */
    origin_password: nullable(bigint),
    origin_identity: nullable(bigint),
    origin_token: nullable(bigint),
  },

  signing_keys: {
    /** The `kid` of the tokens signed with it. */
    id: text,
    /** PKCS #8 in PEM. */
    private_key: text,
    created_at: bigint,
    /** From then on it only verifies, until its last token has expired. */
    retired_at: nullable(bigint),
  },

  /** Trusts: an organisation's rules to log in CI jobs by the claims of their ID tokens. */
  trusts: {
    id: identity,
    organisation_id: bigint,
    name: text,
    issuer: text,
    audience: text,
    /** A JSON Web Key Set, used instead of fetching the issuer's. */
    keys: nullable(text),
    /** JSON object: claim → pattern of its value. */
    claims: text,
    /** 0 or 1: an administrator has confirmed that no other party has jobs at the issuer. */
    own_issuer: optional(bigint),
    /** As for access tokens, but not empty. */
    scopes: text,
    /** Milliseconds for which a logged-in job may fetch tokens. */
    lifetime: bigint,
    created_at: bigint,
    updated_at: bigint,
  },

  /** Sessions of signed-in browsers. */
  sessions: {
    /** SHA-256 of the cookie's secret, in hex. */
    hash: text,
    account_id: bigint,
    /** The session's origin (see `origins.ts`); at least one is not null. */
    origin_password: nullable(bigint),
    origin_identity: nullable(bigint),
    origin_token: nullable(bigint),
    created_at: bigint,
    expires_at: bigint,
  },

  /** Logins, refusals and pulls of the audit log. */
  audit_events: {
    id: identity,
    at: bigint,
    action: text,
    /** 0 or 1. */
    allowed: bigint,
    /** The principal, as in `uploads`. */
    actor: text,
    /** The actor's name at the time. */
    actor_name: text,
    /** The kind of credential, with its id: `password`, `token:7`; never the secret. */
    credential: text,
    address: nullable(text),
    repository: nullable(text),
    tag: nullable(text),
    digest: nullable(text),
    status: nullable(bigint),
    error: nullable(text),
    /** JSON object with further parameters. */
    detail: nullable(text),
    request_id: nullable(text),
  },

  /** Changes of the registry; each row is written in the transaction of its change. */
  changes: {
    id: identity,
    at: bigint,
    /** As in `audit/actions.ts`. */
    kind: text,
    /** The repository's name at that time. */
    repository: nullable(text),
    repository_id: nullable(bigint),
    tag: nullable(text),
    /** The digest that the tag pointed to before, or that was deleted. */
    old_digest: nullable(text),
    new_digest: nullable(text),
    /** JSON object. */
    detail: nullable(text),
    /** This and the next three: as in `audit_events`. */
    actor: text,
    actor_name: text,
    credential: text,
    address: nullable(text),
    /** `User-Agent`. */
    client: nullable(text),
    request_id: nullable(text),
  },

  /** The pulls of a manifest since `pulls-since` (see `properties.ts`), written once a minute; no row: none. */
  manifest_pulls: {
    manifest_id: bigint,
    /** Of the last pull, up to a minute late. */
    pulled_at: bigint,
    pulls: bigint,
  },

  /** The pulls of a repository's manifests on one day. */
  pull_days: {
    repository_id: bigint,
    /** The beginning of the day in UTC. */
    day: bigint,
    pulls: bigint,
  },

  /** Retention policies of a namespace's account or of a repository; of the registry if both are null. */
  retention_policies: {
    id: identity,
    account_id: nullable(bigint),
    repository_id: nullable(bigint),
    /** As JSON, as in `config/retention-policy.ts`. */
    policy: text,
    updated_at: bigint,
  },

  /** Pulls in a time window, for pull limits. */
  pull_counts: {
    subject: text,
    window_start: bigint,
    count: bigint,
  },

  /** Blobs and tags of a repository. This and the next two are kept by triggers (migration 0017). */
  repository_usage: {
    repository_id: bigint,
    blobs: optional(bigint),
    bytes: optional(bigint),
    tags: optional(bigint),
  },

  /** Sums over the repositories of a namespace; each blob counts once. */
  namespace_usage: {
    /** The part of a repository's name before the first slash; empty for all names without one. */
    namespace: text,
    blobs: optional(bigint),
    bytes: optional(bigint),
    /** Without those in the trash; as `repositories`. */
    tags: optional(bigint),
    repositories: optional(bigint),
  },

  /** How many repositories of a namespace hold a blob. */
  namespace_blobs: {
    namespace: text,
    digest: text,
    links: bigint,
  },

  /** Changes of the usage of a repository or a namespace that are not added to its row yet; only on PostgreSQL. */
  usage_changes: {
    id: identity,
    repository_id: nullable(bigint),
    namespace: nullable(text),
    blobs: optional(bigint),
    bytes: optional(bigint),
    tags: optional(bigint),
    repositories: optional(bigint),
  },

  /** The usage of each namespace on each day. */
  usage_days: {
    /** Its first millisecond, in UTC. */
    day: bigint,
    /** `*` for the whole registry, whose blobs count once. */
    namespace: text,
    blobs: bigint,
    bytes: bigint,
    tags: bigint,
    repositories: bigint,
  },

  /** Quotas of a namespace's account or of a repository; null: no limit here. */
  quotas: {
    id: identity,
    account_id: nullable(bigint),
    repository_id: nullable(bigint),
    bytes: nullable(bigint),
    tags: nullable(bigint),
    repositories: nullable(bigint),
    created_at: bigint,
  },
} as const;

type Columns = typeof columns;

/** The tables, for Kysely. */
export type Schema = {
  [Table in keyof Columns]: { [Name in keyof Columns[Table]]: ColumnOf<Columns[Table][Name]> };
};

/** The types of a table's columns. */
export function columnTypes<Table extends keyof Columns>(
  table: Table,
): Record<keyof Columns[Table] & string, ColumnType> {
  const types = Object.entries<Column>(columns[table]).map(([name, { type }]) => [name, type]);
  return Object.fromEntries(types);
}
