// The tables of a registry, which `berth migrate-db` copies by key between databases, and which backups contain.
import type { Column, ColumnType } from '../columns.ts';
import { columns, columnTypes, type Schema } from '../schema.ts';

interface CopiedTable {
  readonly name: keyof Schema;
  /** Columns of the primary key; text sorts by its bytes, so that both databases have the same order. */
  readonly key: readonly string[];
  /** A column too long to be read with each row; it never changes for a key. */
  readonly fixed?: string;
  /** A unique column whose value one row may lose to another. */
  readonly passedOn?: string;
  /** A nullable column that references another row of the table, with a lower id, so that it is inserted before or with it. */
  readonly parent?: string;
  /** Parent rows that must exist first, unless the column is null: column, parent table, its column. */
  readonly needs: readonly (readonly [column: string, table: string, parent: string])[];
}

export interface Table extends CopiedTable {
  readonly columns: Readonly<Record<string, ColumnType>>;
  /** Whether the database generates the ids. */
  readonly identity: boolean;
}

export type Row = Readonly<Record<string, string | number | null>>;

const repository = ['repository_id', 'repositories', 'id'] as const;
const account = ['account_id', 'accounts', 'id'] as const;
const organisation = ['organisation_id', 'accounts', 'id'] as const;

/** A table comes after the tables that it references. */
const copied: readonly CopiedTable[] = [
  {
    name: 'repositories',
    key: ['id'],
    passedOn: 'name',
    parent: 'trash_of',
    needs: [],
  },
  {
    name: 'repository_aliases',
    key: ['name'],
    needs: [repository],
  },
  {
    name: 'blobs',
    key: ['digest'],
    needs: [],
  },
  {
    name: 'repository_blobs',
    key: ['repository_id', 'digest'],
    needs: [repository, ['digest', 'blobs', 'digest']],
  },
  {
    name: 'manifests',
    key: ['id'],
    fixed: 'bytes',
    needs: [repository],
  },
  {
    name: 'manifest_references',
    key: ['manifest_id', 'digest', 'kind'],
    needs: [['manifest_id', 'manifests', 'id']],
  },
  {
    name: 'tags',
    key: ['repository_id', 'name'],
    needs: [repository, ['manifest_id', 'manifests', 'id']],
  },
  {
    name: 'trash',
    key: ['id'],
    needs: [],
  },
  {
    name: 'accounts',
    key: ['id'],
    // A robot's owner, and the user who claimed an organisation, have lower ids, so they are inserted before or with it.
    needs: [],
  },
  {
    name: 'users',
    key: ['account_id'],
    needs: [account],
  },
  {
    name: 'identities',
    key: ['id'],
    needs: [account],
  },
  {
    name: 'members',
    key: ['organisation_id', 'account_id'],
    needs: [organisation, account],
  },
  {
    name: 'teams',
    key: ['id'],
    needs: [organisation],
  },
  {
    name: 'team_members',
    key: ['team_id', 'account_id', 'source'],
    needs: [['team_id', 'teams', 'id'], account],
  },
  {
    name: 'grants',
    key: ['id'],
    needs: [account, ['team_id', 'teams', 'id']],
  },
  {
    name: 'tag_rules',
    key: ['id'],
    needs: [account, repository],
  },
  {
    name: 'manifest_pulls',
    key: ['manifest_id'],
    needs: [['manifest_id', 'manifests', 'id']],
  },
  {
    name: 'pull_days',
    key: ['repository_id', 'day'],
    needs: [repository],
  },
  {
    name: 'retention_policies',
    key: ['id'],
    needs: [account, repository],
  },
  {
    name: 'quotas',
    key: ['id'],
    needs: [account, repository],
  },
  {
    name: 'usage_days',
    key: ['day', 'namespace'],
    needs: [],
  },
  {
    name: 'access_tokens',
    key: ['id'],
    // The token with which another was created has a lower id, so it is inserted before or with it.
    needs: [account],
  },
  {
    name: 'signing_keys',
    key: ['id'],
    needs: [],
  },
  {
    name: 'trusts',
    key: ['id'],
    needs: [organisation],
  },
  {
    name: 'audit_events',
    key: ['id'],
    needs: [],
  },
  {
    name: 'changes',
    key: ['id'],
    needs: [],
  },
];

export const tables: readonly Table[] = copied.map((table) => ({
  ...table,
  columns: columnTypes(table.name),
  identity: Object.values<Column>(columns[table.name]).some(({ identity }) => identity),
}));

/**
 * Tables that are not copied: uploads, browser sessions and leases of former processes, properties, and pull counts of a few hours.
 */
export const leftBehind: readonly (keyof Schema)[] = [
  'uploads',
  'sessions',
  'leases',
  'properties',
  'pull_counts',
];

/** Tables that are not copied because the triggers of the other tables fill them. */
export const derived: readonly (keyof Schema)[] = [
  'repository_usage',
  'namespace_usage',
  'namespace_blobs',
  'usage_changes',
];
