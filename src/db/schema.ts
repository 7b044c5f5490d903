import type { Generated } from 'kysely';

/** The tables, as Kysely sees them; `migrations/` makes them. Times are milliseconds since 1970. */
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
  pull_counts: PullCountsTable;
}

interface RepositoriesTable {
  id: Generated<number>;
  name: string;
  created_at: number;
  visibility: Generated<Visibility>;
}

/** Whether everyone who reaches the registry may pull, or only who was given the right. */
export type Visibility = 'public' | 'private';

/** One row for each digest that ever had bytes; it outlives them, so that a generation is never used twice. */
interface BlobsTable {
  digest: string;
  size: number;
  /** Which key holds the bytes; one higher each time a deletion of the former ones was decided. */
  generation: number;
  state: BlobState;
  created_at: number;
  /** Not to be deleted before this time; every sign of interest moves it. */
  review_at: number;
  /** When the bytes were found without a row; null: an upload brought them. */
  parked_at: Generated<number | null>;
}

export type BlobState = 'stored' | 'deleting' | 'deleted';

/** A repository holds a blob: bytes uploaded there, or mounted from where the caller may pull. */
interface RepositoryBlobsTable {
  repository_id: number;
  digest: string;
  created_at: number;
  /** The upload session that brought it last, with its owner; null where none did, as with a mount. */
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
  /** Where it comes among referrers (see `oci/referrer-rank.ts`). */
  rank: Generated<number>;
  /** Bytes of `annotations`, which are not read to know it. */
  annotations_size: Generated<number>;
  /** JSON object, copied into the referrers listing. */
  annotations: string | null;
  bytes: Uint8Array;
}

/** What a manifest needs in order to be pulled: its blobs and, for an index, its children. */
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
  /** Who writes now, until when; null: nobody. */
  writer: string | null;
  writer_until: number;
  /** Where the store has the bytes; only the store reads it. */
  staged: string;
  /** Who opened the session, and alone may use it (see `access/identity.ts`). */
  principal: Generated<string>;
  /** Whose limits the session counts against: the principal, or the network of one without an account. */
  charged_to: Generated<string>;
  /** Bytes that the writer has received since it claimed the session, as of its last renewal. */
  receiving: Generated<number>;
}

/** Background work that one process does for all. */
interface LeasesTable {
  name: string;
  holder: string;
  held_until: number;
}

/** What is true of the registry as a whole. */
interface PropertiesTable {
  name: string;
  value: string;
}

/** Whoever has a name of their own. A user's and an organisation's is that of a namespace; a robot's is `<namespace>+<name>`. */
interface AccountsTable {
  id: Generated<number>;
  name: string;
  kind: AccountKind;
  /** The namespace that a robot works for. */
  owner_id: number | null;
  /** The user who made the organisation by pushing to its name. */
  claimed_by: Generated<number | null>;
  /** What new repositories of the namespace are. */
  default_visibility: Generated<Visibility>;
  disabled_at: number | null;
  created_at: number;
}

export type AccountKind = 'user' | 'organisation' | 'robot';

interface UsersTable {
  account_id: number;
  mail: string | null;
  /** A hash in PHC or bcrypt's form; null: nobody logs in with a password. */
  password: string | null;
  /** What was granted for an earlier password ends with it. */
  password_changed_at: number;
  /** 0 or 1. */
  administrator: number;
  /** 0 or 1: the password alone is not enough for a client. */
  token_only: number;
}

/** A user as a sign-on provider knows them. */
interface IdentitiesTable {
  id: Generated<number>;
  issuer: string;
  subject: string;
  account_id: number;
  /** The account name that the provider's claims came to at the last sign-on, whether the account has it or not. */
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

/** A role on all repositories that a pattern matches, of an account or of a team's members. */
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
  /** What its owner calls it. */
  name: string;
  /** SHA-256 of the token, in hex: it is random enough to need no slow hash. */
  hash: string;
  /** What it may be used for at most: scopes parted by spaces; empty: all that its owner may. */
  scopes: string;
  created_at: number;
  expires_at: number | null;
  revoked_at: number | null;
  last_used_at: number | null;
  last_used_from: string | null;
  /** What the session began with in which it was made (see `origins.ts`); null, all three: an administrator made it. */
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
  /** It signs no more; it verifies until its last token has ended. */
  retired_at: number | null;
}

/** Jobs elsewhere that an organisation lets in, by what their ID tokens say of them. */
interface TrustsTable {
  id: Generated<number>;
  organisation_id: number;
  name: string;
  issuer: string;
  audience: string;
  /** A JSON Web Key Set, where the issuer's own cannot be fetched. */
  keys: string | null;
  /** JSON object: claim → pattern of its value. */
  claims: string;
  /** 0 or 1: an administrator has said that all jobs of the issuer are theirs. */
  own_issuer: Generated<number>;
  /** As for access tokens, but never empty. */
  scopes: string;
  /** Milliseconds for which a job that logged in may fetch tokens. */
  lifetime: number;
  created_at: number;
  updated_at: number;
}

/** Browsers that are signed on. */
interface SessionsTable {
  /** SHA-256 of what the cookie holds, in hex. */
  hash: string;
  account_id: number;
  /** What it began with, and ends with (see `origins.ts`); one of the three at least. */
  origin_password: number | null;
  origin_identity: number | null;
  origin_token: number | null;
  created_at: number;
  expires_at: number;
}

/** Who did what. */
interface AuditEventsTable {
  id: Generated<number>;
  at: number;
  action: string;
  /** 0 or 1. */
  allowed: number;
  /** As an upload's principal. */
  actor: string;
  /** As the actor was called then. */
  actor_name: string;
  /** Which credential was used: `password`, `token:7`; never the credential. */
  credential: string;
  address: string | null;
  repository: string | null;
  tag: string | null;
  digest: string | null;
  status: number | null;
  error: string | null;
  /** JSON object: what else was asked for. */
  detail: string | null;
  request_id: string | null;
}

/** How much was pulled in a window of time, where that is limited. */
interface PullCountsTable {
  subject: string;
  window_start: number;
  count: number;
}
