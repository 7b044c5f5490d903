// The tables of a registry, which `berth migrate-db` copies by key between databases.
import { auditEventColumns } from '../audit-events.ts';
import { changeColumns } from '../changes.ts';
import type { ColumnType } from '../dialect.ts';

export interface Table {
  readonly name: string;
  readonly columns: Readonly<Record<string, ColumnType>>;
  /** Columns of the primary key; text sorts by its bytes, so that both databases have the same order. */
  readonly key: readonly string[];
  /** A column too long to be read with each row; it never changes for a key. */
  readonly fixed?: string;
  /** The database generates the ids. */
  readonly identity?: boolean;
  /** Parent rows that must exist first, unless the column is null: column, parent table, its column. */
  readonly needs: readonly (readonly [column: string, table: string, parent: string])[];
}

export type Row = Readonly<Record<string, string | number | null>>;

const repository = ['repository_id', 'repositories', 'id'] as const;
const account = ['account_id', 'accounts', 'id'] as const;
const organisation = ['organisation_id', 'accounts', 'id'] as const;

/** Each table after those that it references. */
export const tables: readonly Table[] = [
  {
    name: 'repositories',
    columns: { id: 'bigint', name: 'text', created_at: 'bigint', visibility: 'text' },
    key: ['id'],
    identity: true,
    needs: [],
  },
  {
    name: 'blobs',
    columns: {
      digest: 'text',
      size: 'bigint',
      generation: 'bigint',
      state: 'text',
      created_at: 'bigint',
      review_at: 'bigint',
      parked_at: 'bigint',
    },
    key: ['digest'],
    needs: [],
  },
  {
    name: 'repository_blobs',
    columns: { repository_id: 'bigint', digest: 'text', created_at: 'bigint', session: 'text' },
    key: ['repository_id', 'digest'],
    needs: [repository, ['digest', 'blobs', 'digest']],
  },
  {
    name: 'manifests',
    columns: {
      id: 'bigint',
      repository_id: 'bigint',
      digest: 'text',
      media_type: 'text',
      bytes: 'bytes',
      size: 'bigint',
      subject_digest: 'text',
      artifact_type: 'text',
      annotations: 'text',
      annotations_size: 'bigint',
      rank: 'bigint',
      created_at: 'bigint',
    },
    key: ['id'],
    fixed: 'bytes',
    identity: true,
    needs: [repository],
  },
  {
    name: 'manifest_references',
    columns: { manifest_id: 'bigint', digest: 'text', kind: 'text' },
    key: ['manifest_id', 'digest', 'kind'],
    needs: [['manifest_id', 'manifests', 'id']],
  },
  {
    name: 'tags',
    columns: { repository_id: 'bigint', name: 'text', manifest_id: 'bigint', updated_at: 'bigint' },
    key: ['repository_id', 'name'],
    needs: [repository, ['manifest_id', 'manifests', 'id']],
  },
  {
    name: 'accounts',
    columns: {
      id: 'bigint',
      name: 'text',
      kind: 'text',
      owner_id: 'bigint',
      claimed_by: 'bigint',
      default_visibility: 'text',
      disabled_at: 'bigint',
      created_at: 'bigint',
    },
    key: ['id'],
    identity: true,
    // A robot's owner, and the user who claimed an organisation, have lower ids, so they are inserted before or with it.
    needs: [],
  },
  {
    name: 'users',
    columns: {
      account_id: 'bigint',
      mail: 'text',
      password: 'text',
      password_changed_at: 'bigint',
      administrator: 'bigint',
      token_only: 'bigint',
    },
    key: ['account_id'],
    needs: [account],
  },
  {
    name: 'identities',
    columns: { id: 'bigint', issuer: 'text', subject: 'text', account_id: 'bigint', name: 'text' },
    key: ['id'],
    identity: true,
    needs: [account],
  },
  {
    name: 'members',
    columns: { organisation_id: 'bigint', account_id: 'bigint', role: 'text' },
    key: ['organisation_id', 'account_id'],
    needs: [organisation, account],
  },
  {
    name: 'teams',
    columns: {
      id: 'bigint',
      organisation_id: 'bigint',
      name: 'text',
      sso_group: 'text',
      created_at: 'bigint',
    },
    key: ['id'],
    identity: true,
    needs: [organisation],
  },
  {
    name: 'team_members',
    columns: { team_id: 'bigint', account_id: 'bigint', source: 'text' },
    key: ['team_id', 'account_id', 'source'],
    needs: [['team_id', 'teams', 'id'], account],
  },
  {
    name: 'grants',
    columns: {
      id: 'bigint',
      pattern: 'text',
      account_id: 'bigint',
      team_id: 'bigint',
      role: 'text',
      created_at: 'bigint',
    },
    key: ['id'],
    identity: true,
    needs: [account, ['team_id', 'teams', 'id']],
  },
  {
    name: 'access_tokens',
    columns: {
      id: 'bigint',
      account_id: 'bigint',
      name: 'text',
      hash: 'text',
      scopes: 'text',
      created_at: 'bigint',
      expires_at: 'bigint',
      revoked_at: 'bigint',
      last_used_at: 'bigint',
      last_used_from: 'text',
      origin_password: 'bigint',
      origin_identity: 'bigint',
      origin_token: 'bigint',
    },
    key: ['id'],
    identity: true,
    // The token with which another was created has a lower id, so it is inserted before or with it.
    needs: [account],
  },
  {
    name: 'signing_keys',
    columns: { id: 'text', private_key: 'text', created_at: 'bigint', retired_at: 'bigint' },
    key: ['id'],
    needs: [],
  },
  {
    name: 'trusts',
    columns: {
      id: 'bigint',
      organisation_id: 'bigint',
      name: 'text',
      issuer: 'text',
      audience: 'text',
      keys: 'text',
      claims: 'text',
      own_issuer: 'bigint',
      scopes: 'text',
      lifetime: 'bigint',
      created_at: 'bigint',
      updated_at: 'bigint',
    },
    key: ['id'],
    identity: true,
    needs: [organisation],
  },
  {
    name: 'audit_events',
    columns: { id: 'bigint', ...auditEventColumns },
    key: ['id'],
    identity: true,
    needs: [],
  },
  {
    name: 'changes',
    columns: { id: 'bigint', ...changeColumns },
    key: ['id'],
    identity: true,
    needs: [],
  },
];

/**
 * Tables that are not copied: uploads, browser sessions and leases of former processes, properties, and pull counts of a few hours.
 */
export const leftBehind: readonly string[] = ['uploads', 'sessions', 'leases', 'properties', 'pull_counts'];
