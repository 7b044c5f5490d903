import { type Expression, sql } from 'kysely';
import type { Digest, DigestAlgorithm } from '../oci/digest.ts';
import type { RepositoryName } from '../oci/name.ts';
import { implausibleAfter } from './leases.ts';
import { type Db, first, type Params, prepare } from './prepare.ts';
import { anyQuota, type WithAnyQuota } from './quotas.ts';

/** An upload session, shared by all replicas. */
export interface UploadRow {
  readonly id: string;
  readonly repository_id: number;
  readonly algorithm: DigestAlgorithm;
  /** Bytes received. */
  readonly size: number;
  /** Digest of exactly these bytes. */
  readonly digest: Digest;
  /** Their location in the store. */
  readonly staged: string;
  /** The principal that opened it. */
  readonly principal: string;
  /** The account or network whose limits apply. */
  readonly charged_to: string;
}

/** A session with its writer. */
export interface LeasableUpload extends UploadRow {
  /** The current writer, one that died while writing, or a process that keeps the lease between its requests; null if none. */
  readonly writer: string | null;
  /** End of its lease, in milliseconds since 1970. */
  readonly writer_until: number;
}

const columns = [
  'uploads.id',
  'uploads.repository_id',
  'uploads.algorithm',
  'uploads.size',
  'uploads.digest',
  'uploads.staged',
  'uploads.principal',
  'uploads.charged_to',
] as const;

/** Maximum number of open sessions and staged bytes for one account or network. */
export interface UploadLimits {
  readonly sessions: number;
  readonly bytes: number;
}

export const noUploadLimits: UploadLimits = {
  sessions: Number.MAX_SAFE_INTEGER,
  bytes: Number.MAX_SAFE_INTEGER,
};

interface NewUpload {
  id: string;
  repository: number;
  algorithm: string;
  digest: string;
  owner: string;
  chargedTo: string;
}

/** The lease that a session has between requests. */
export interface KeptLease {
  /** The process that keeps it; null: none. */
  readonly kept: string | null;
  readonly until: number;
}

export const notKept: KeptLease = { kept: null, until: 0 };

/** Counts a current writer's bytes as of its last renewal. */
function usage(db: Db, chargedTo: Expression<string>) {
  return db
    .selectFrom('uploads')
    .select((select) => [
      select.fn.countAll<number>().as('sessions'),
      sql<number>`coalesce(sum(size + receiving), 0)`.as('bytes'),
    ])
    .where('charged_to', '=', chargedTo);
}

const insert = prepare((db, p: Params<NewUpload & KeptLease & UploadLimits & { now: number }>) =>
  db
    .insertInto('uploads')
    .columns([
      'id',
      'repository_id',
      'algorithm',
      'size',
      'digest',
      'created_at',
      'updated_at',
      'writer',
      'writer_until',
      'staged',
      'principal',
      'charged_to',
    ])
    .expression((from) =>
      from
        .selectFrom(usage(db, p('chargedTo')).as('open'))
        .select([
          sql<string>`${p('id')}`.as('id'),
          sql<number>`${p('repository')}`.as('repository_id'),
          sql<string>`${p('algorithm')}`.as('algorithm'),
          sql<number>`0`.as('size'),
          sql<string>`${p('digest')}`.as('digest'),
          sql<number>`${p('now')}`.as('created_at'),
          sql<number>`${p('now')}`.as('updated_at'),
          sql<string | null>`${p('kept')}`.as('writer'),
          sql<number>`${p('until')}`.as('writer_until'),
          sql<string>`''`.as('staged'),
          sql<string>`${p('owner')}`.as('principal'),
          sql<string>`${p('chargedTo')}`.as('charged_to'),
        ])
        .where('open.sessions', '<', p('sessions'))
        .where('open.bytes', '<', p('bytes')),
    )
    .returning(anyQuota.as('any_quota')),
);

/** Opens a session; `undefined` when the limits are reached. */
export async function insertUpload(
  db: Db,
  upload: {
    id: string;
    repository: number;
    algorithm: DigestAlgorithm;
    digest: Digest;
    owner: string;
    /** The account or network whose limits apply; by default the owner. */
    chargedTo?: string;
    /** By default none. */
    lease?: KeptLease;
  },
  now: number,
  limits = noUploadLimits,
): Promise<WithAnyQuota | undefined> {
  const { lease = notKept } = upload;
  return first(insert(db, { chargedTo: upload.owner, ...upload, ...lease, ...limits, now }));
}

const selectUsage = prepare((db, p: Params<{ chargedTo: string }>) => usage(db, p('chargedTo')));

/** Number of open sessions and staged bytes that count against the limits of `chargedTo`. */
export async function findUploadUsage(db: Db, chargedTo: string): Promise<UploadLimits> {
  const [found] = await selectUsage(db, { chargedTo });
  return { sessions: Number(found?.sessions), bytes: Number(found?.bytes) };
}

/** Identifies a session in a request. */
export interface SessionKey {
  readonly name: RepositoryName;
  readonly id: string;
  /** The principal that opened it; no other may use it (see `access/identity.ts`). */
  readonly owner: string;
}

const selectOne = prepare((db, p: Params<{ id: string; name: string; owner: string }>) =>
  db
    .selectFrom('uploads')
    .innerJoin('repositories', 'repositories.id', 'uploads.repository_id')
    .select([...columns, 'uploads.writer', 'uploads.writer_until'])
    .where('uploads.id', '=', p('id'))
    .where('uploads.principal', '=', p('owner'))
    .where('repositories.name', '=', p('name')),
);

/** The session, if it belongs to this repository and owner. */
export function findUpload(db: Db, { name, id, owner }: SessionKey): Promise<LeasableUpload | undefined> {
  return first(selectOne(db, { name, id, owner })) as Promise<LeasableUpload | undefined>;
}

interface NewLease {
  before: string | null;
  writer: string;
  until: number;
  now: number;
}

const takeLease = prepare((db, p: Params<NewLease & { id: string; implausible: number }>) =>
  db
    .updateTable('uploads')
    .set({ writer: p('writer'), writer_until: p('until'), updated_at: p('now'), receiving: 0 })
    .where('id', '=', p('id'))
    .where('writer', 'is not distinct from', p('before'))
    .where((where) =>
      where.or([
        where('writer', 'is', null),
        where('writer_until', '<', p('now')),
        where('writer_until', '>', p('implausible')),
      ]),
    )
    .returning(columns),
);

/**
 * Takes the session's lease for `writer` until `until`; `undefined` while another writer has it. `before` is the writer that the
 * caller has read: if it is not null, the caller takes over from it.
 */
export function leaseUpload(db: Db, id: string, lease: NewLease): Promise<UploadRow | undefined> {
  const implausible = lease.now + implausibleAfter(lease.until - lease.now);
  return first(takeLease(db, { id, ...lease, implausible })) as Promise<UploadRow | undefined>;
}

const setStaged = prepare((db, p: Params<{ id: string; writer: string; staged: string }>) =>
  db
    .updateTable('uploads')
    .set({ staged: p('staged') })
    .where('id', '=', p('id'))
    .where('writer', '=', p('writer'))
    .returning('id'),
);

/** Records the new location of the staged bytes; false when the lease was lost. */
export async function moveStaged(
  db: Db,
  upload: { id: string; writer: string; staged: string },
): Promise<boolean> {
  return (await setStaged(db, upload)).length > 0;
}

interface Renewal {
  writer: string;
  until: number;
  now: number;
  /** Bytes that the writer has received since taking the lease. */
  receiving: number;
}

const extendLease = prepare((db, p: Params<Renewal & { id: string }>) =>
  db
    .updateTable('uploads')
    .set({ writer_until: p('until'), updated_at: p('now'), receiving: p('receiving') })
    .where('id', '=', p('id'))
    .where('writer', '=', p('writer'))
    .returning('id'),
);

/** Renews the writer's lease; false when it was lost: the session expired, or another writer took it over. */
export async function renewUploadLease(db: Db, id: string, renewal: Renewal): Promise<boolean> {
  return (await extendLease(db, { id, ...renewal })).length > 0;
}

interface NewProgress {
  id: string;
  writer: string;
  size: number;
  digest: string;
  algorithm: string;
  staged: string;
}

interface TypedProgress extends NewProgress {
  digest: Digest;
  algorithm: DigestAlgorithm;
}

const save = prepare((db, p: Params<NewProgress>) =>
  db
    .updateTable('uploads')
    .set({ size: p('size'), digest: p('digest'), algorithm: p('algorithm'), staged: p('staged') })
    .where('id', '=', p('id'))
    .where('writer', '=', p('writer'))
    .returning('id'),
);

/** Records the session's progress and keeps the lease; false when the lease was lost. */
export async function recordProgress(db: Db, upload: TypedProgress): Promise<boolean> {
  return (await save(db, upload)).length > 0;
}

/** Bytes of all other sessions with the same limits. */
const bytesOfOthers = sql<number>`(
  select coalesce(sum(others.size + others.receiving), 0) from uploads as others
  where others.charged_to = uploads.charged_to and others.id <> uploads.id
)`;

interface Release extends KeptLease {
  readonly now: number;
}

const saveAndRelease = prepare((db, p: Params<NewProgress & Release & { allowed: number }>) =>
  db
    .updateTable('uploads')
    .set({
      size: p('size'),
      digest: p('digest'),
      algorithm: p('algorithm'),
      staged: p('staged'),
      writer: p('kept'),
      writer_until: p('until'),
      updated_at: p('now'),
      receiving: 0,
    })
    .where('id', '=', p('id'))
    .where('writer', '=', p('writer'))
    .where(bytesOfOthers, '<=', p('allowed'))
    .returning('id'),
);

/**
 * Records the session's progress and releases the lease; false when the lease was lost, or when more than `limit` bytes would be staged
 * under the same limits.
 */
export async function releaseUpload(
  db: Db,
  upload: TypedProgress,
  release: Release,
  limit = noUploadLimits.bytes,
): Promise<boolean> {
  return (await saveAndRelease(db, { ...upload, ...release, allowed: limit - upload.size })).length > 0;
}

const release = prepare((db, p: Params<Release & { id: string; writer: string }>) =>
  db
    .updateTable('uploads')
    .set({ writer: p('kept'), writer_until: p('until'), updated_at: p('now'), receiving: 0 })
    .where('id', '=', p('id'))
    .where('writer', '=', p('writer')),
);

/** Releases the lease, if `writer` still has it, without recording progress. */
export async function giveBackUploadLease(
  db: Db,
  upload: { readonly id: string; readonly writer: string },
  given: Release,
): Promise<void> {
  await release(db, { ...upload, ...given });
}

const deleteLeased = prepare((db, p: Params<{ id: string; writer: string }>) =>
  db.deleteFrom('uploads').where('id', '=', p('id')).where('writer', '=', p('writer')).returning('id'),
);

/** Deletes a session of which `writer` has the lease; false when the lease was lost. */
export async function deleteUpload(db: Db, id: string, writer: string): Promise<boolean> {
  return (await deleteLeased(db, { id, writer })).length > 0;
}

const selectExpired = prepare((db, p: Params<{ before: number; now: number; limit: number }>) =>
  db
    .selectFrom('uploads')
    .select('id')
    .where('updated_at', '<', p('before'))
    .where('writer_until', '<', p('now'))
    .orderBy('updated_at')
    .limit(p('limit')),
);

/** Sessions last used before `before` that have no writer. */
export function listExpiredUploads(
  db: Db,
  before: number,
  now: number,
  limit: number,
): Promise<Pick<UploadRow, 'id'>[]> {
  return selectExpired(db, { before, now, limit });
}

const deleteIfExpired = prepare((db, p: Params<{ id: string; before: number; now: number }>) =>
  db
    .deleteFrom('uploads')
    .where('id', '=', p('id'))
    .where('updated_at', '<', p('before'))
    .where('writer_until', '<', p('now'))
    .returning(['id', 'size', 'staged']),
);

/** Deletes a session if it is still expired, and returns its staged bytes; `undefined` when its client has continued it. */
export function deleteExpiredUpload(
  db: Db,
  id: string,
  before: number,
  now: number,
): Promise<Pick<UploadRow, 'id' | 'size' | 'staged'> | undefined> {
  return first(deleteIfExpired(db, { id, before, now }));
}

const selectExists = prepare((db, p: Params<{ id: string }>) =>
  db.selectFrom('uploads').select('id').where('id', '=', p('id')),
);

export async function uploadExists(db: Db, id: string): Promise<boolean> {
  return (await selectExists(db, { id })).length > 0;
}

const setBack = prepare((db, p: Params<{ now: number; implausible: number }>) =>
  db
    .updateTable('uploads')
    .set({ updated_at: p('now'), writer_until: p('now') })
    .where((where) =>
      where.or([where('updated_at', '>', p('implausible')), where('writer_until', '>', p('implausible'))]),
    ),
);

/** Sets each time after `implausible` to `now`: it was written while the clock was ahead. */
export async function setBackUploads(db: Db, now: number, implausible: number): Promise<void> {
  await setBack(db, { now, implausible });
}

const countAll = prepare((db) =>
  db.selectFrom('uploads').select((select) => select.fn.countAll<number>().as('count')),
);

/** Number of open sessions. */
export async function countUploads(db: Db): Promise<number> {
  return Number((await countAll(db, {}))[0]?.count ?? 0);
}

const releaseAll = prepare((db) =>
  db.updateTable('uploads').set({ writer: null, writer_until: 0, receiving: 0 }),
);

/** Releases all leases. Only for the start on a database that no other process uses: their writers are dead. */
export async function releaseUploadLeases(db: Db): Promise<void> {
  await releaseAll(db, {});
}
