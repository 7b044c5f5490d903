import type { Generated } from 'kysely';

/** The tables, for Kysely; created by `migrations/`. Times are milliseconds since 1970. */
export interface Schema {
  repositories: RepositoriesTable;
  blobs: BlobsTable;
  repository_blobs: RepositoryBlobsTable;
  manifests: ManifestsTable;
  manifest_references: ManifestReferencesTable;
  tags: TagsTable;
  uploads: UploadsTable;
  leases: LeasesTable;
  properties: PropertiesTable;
  accounts: AccountsTable;
  users: UsersTable;
  identities: IdentitiesTable;
  members: MembersTable;
  teams: TeamsTable;
  team_members: TeamMembersTable;
  grants: GrantsTable;
  access_tokens: AccessTokensTable;
  signing_keys: SigningKeysTable;
  trusts: TrustsTable;
  sessions: SessionsTable;
  audit_events: AuditEventsTable;
  changes: ChangesTable;
  pull_counts: PullCountsTable;
}

interface RepositoriesTable {
  id: Generated<number>;
  name: string;
  created_at: number;
  visibility: Generated<Visibility>;
}

/** `public`: everyone who can reach the registry may pull; `private`: only accounts with the right. */
export type Visibility = 'public' | 'private';

/** One row for each digest that ever had bytes. It outlives them, so that a generation is never used twice. */
interface BlobsTable {
  digest: string;
  size: number;
  /** Selects the key of the bytes; raised by one with each decision to delete them. */
  generation: number;
  state: BlobState;
  created_at: number;
  /** Start of the grace period; set whenever a repository gets, references or releases the blob. */
  review_at: number;
  /** When the bytes were found without a row; null for uploaded bytes. */
  parked_at: Generated<number | null>;
}

export type BlobState = 'stored' | 'deleting' | 'deleted';

/** Blobs that a repository holds: uploaded there, or mounted from a repository where the caller may pull. */
interface RepositoryBlobsTable {
  repository_id: number;
  digest: string;
  created_at: number;
  /** The last upload session that uploaded it, with its owner; null if none did, as with a mount. */
  session: Generated<string | null>;
}

interface ManifestsTable {
  id: Generated<number>;
  repository_id: number;
  digest: string;
  media_type: string;
  size: number;
  subject_digest: string | null;
  artifact_type: string | null;
  created_at: number;
  /** Rank among referrers (see `oci/referrer-rank.ts`). */
  rank: Generated<number>;
  /** Bytes of `annotations`, known without reading them. */
  annotations_size: Generated<number>;
  /** JSON object, copied into the referrers listing. */
  annotations: string | null;
  bytes: Uint8Array;
}

/** What a pull of a manifest needs: its blobs and, for an index, its children. */
interface ManifestReferencesTable {
  manifest_id: number;
  digest: string;
  kind: 'blob' | 'child';
}

interface TagsTable {
  repository_id: number;
  name: string;
  manifest_id: number;
  updated_at: number;
}

interface UploadsTable {
  id: string;
  repository_id: number;
  algorithm: string;
  /** Bytes received, all of them staged in the store. */
  size: number;
  /** Digest of exactly those bytes. */
  digest: string;
  created_at: number;
  updated_at: number;
  /** The request that writes now; null if none does. */
  writer: string | null;
  writer_until: number;
  /** Location of the bytes in the store; opaque to others. */
  staged: string;
  /** The principal that opened the session; only it may use it (see `access/identity.ts`). */
  principal: Generated<string>;
  /** Whose limits apply: the principal, or the network of a client without an account. */
  charged_to: Generated<string>;
  /** Bytes that the writer had received since taking the lease, at its last renewal. */
  receiving: Generated<number>;
}

/** Leases of background jobs, which one process at a time runs. */
interface LeasesTable {
  name: string;
  holder: string;
  held_until: number;
}

/** Properties of the whole registry. */
interface PropertiesTable {
  name: string;
  value: string;
}

/** Users, organisations and robots. A user's or an organisation's name is also its namespace; a robot's is `<namespace>+<name>`. */
interface AccountsTable {
  id: Generated<number>;
  name: string;
  kind: AccountKind;
  /** The owner of a robot's namespace. */
  owner_id: number | null;
  /** The user who created the organisation by pushing to its name. */
  claimed_by: Generated<number | null>;
  /** Visibility of new repositories of the namespace. */
  default_visibility: Generated<Visibility>;
  disabled_at: number | null;
  created_at: number;
}

export type AccountKind = 'user' | 'organisation' | 'robot';

interface UsersTable {
  account_id: number;
  mail: string | null;
  /** A hash in PHC or bcrypt format; null: no login with a password. */
  password: string | null;
  /** Sessions and tokens of an earlier password are invalid. */
  password_changed_at: number;
  /** 0 or 1. */
  administrator: number;
  /** 0 or 1: clients cannot log in with the password, only with access tokens. */
  token_only: number;
}

/** A user's identity at a sign-on provider. */
interface IdentitiesTable {
  id: Generated<number>;
  issuer: string;
  subject: string;
  account_id: number;
  /** The account name from the provider's claims at the last sign-on, even if the account has another. */
  name: Generated<string | null>;
}

interface MembersTable {
  organisation_id: number;
  account_id: number;
  /** On the whole namespace. */
  role: MemberRole;
}

export type Role = 'read' | 'write' | 'maintain' | 'admin';
export type MemberRole = Role | 'none';

interface TeamsTable {
  id: Generated<number>;
  organisation_id: number;
  name: string;
  /** The group of the sign-on provider that fills the team. */
  sso_group: string | null;
  created_at: number;
}

interface TeamMembersTable {
  team_id: number;
  account_id: number;
  source: 'local' | 'sso';
}

/** A role of an account, or of a team's members, on all repositories that match a pattern. */
interface GrantsTable {
  id: Generated<number>;
  pattern: string;
  account_id: number | null;
  team_id: number | null;
  role: Role;
  created_at: number;
}

interface AccessTokensTable {
  id: Generated<number>;
  account_id: number;
  /** Chosen by its owner. */
  name: string;
  /** SHA-256 of the token, in hex; the token is random, so no slow hash is needed. */
  hash: string;
  /** Upper limit of its rights: scopes separated by spaces; empty: all rights of its owner. */
  scopes: string;
  created_at: number;
  expires_at: number | null;
  revoked_at: number | null;
  last_used_at: number | null;
  last_used_from: string | null;
  /** Origin of the session in which it was created (see `origins.ts`); all null: created by an administrator. */
  origin_password: number | null;
  origin_identity: number | null;
  origin_token: number | null;
}

interface SigningKeysTable {
  /** The `kid` of the tokens signed with it. */
  id: string;
  /** PKCS #8 in PEM. */
  private_key: string;
  created_at: number;
  /** From then on it only verifies, until its last token has expired. */
  retired_at: number | null;
}

/** Trusts: an organisation's rules to log in CI jobs by the claims of their ID tokens. */
interface TrustsTable {
  id: Generated<number>;
  organisation_id: number;
  name: string;
  issuer: string;
  audience: string;
  /** A JSON Web Key Set, used instead of fetching the issuer's. */
  keys: string | null;
  /** JSON object: claim → pattern of its value. */
  claims: string;
  /** 0 or 1: an administrator has confirmed that all jobs of the issuer are their own. */
  own_issuer: Generated<number>;
  /** As for access tokens, but not empty. */
  scopes: string;
  /** Milliseconds for which a logged-in job may fetch tokens. */
  lifetime: number;
  created_at: number;
  updated_at: number;
}

/** Sessions of signed-in browsers. */
interface SessionsTable {
  /** SHA-256 of the cookie's secret, in hex. */
  hash: string;
  account_id: number;
  /** The origin with which it ends (see `origins.ts`); at least one is not null. */
  origin_password: number | null;
  origin_identity: number | null;
  origin_token: number | null;
  created_at: number;
  expires_at: number;
}

/** Changes of the registry; each row is written in the transaction of its change. */
interface ChangesTable {
  id: Generated<number>;
  at: number;
  /** As in `audit/actions.ts`. */
  kind: string;
  /** As the repository was called then. */
  repository: string | null;
  repository_id: number | null;
  tag: string | null;
  /** What the tag pointed to before, or what was deleted. */
  old_digest: string | null;
  new_digest: string | null;
  /** JSON object. */
  detail: string | null;
  /** See {@link AuditEventsTable}. */
  actor: string;
  actor_name: string;
  credential: string;
  address: string | null;
  /** `User-Agent`. */
  client: string | null;
  request_id: string | null;
}

/** Logins, refusals and pulls of the audit log. */
interface AuditEventsTable {
  id: Generated<number>;
  at: number;
  action: string;
  /** 0 or 1. */
  allowed: number;
  /** The principal, as in `uploads`. */
  actor: string;
  /** The actor's name at the time. */
  actor_name: string;
  /** The kind of credential, with its id: `password`, `token:7`; never the secret. */
  credential: string;
  address: string | null;
  repository: string | null;
  tag: string | null;
  digest: string | null;
  status: number | null;
  error: string | null;
  /** JSON object with further parameters. */
  detail: string | null;
  request_id: string | null;
}

/** Pulls in a time window, for pull limits. */
interface PullCountsTable {
  subject: string;
  window_start: number;
  count: number;
}
