// The audit log as a table for people.
import type { AuditEntry } from '../db/audit-events.ts';
import { showTime, table } from './table.ts';

const headings = ['TIME', 'USER', 'ACTION', 'OBJECT', 'RESULT', 'ADDRESS'];

export function auditTable(events: readonly AuditEntry[]): string {
  return table(headings, events.map(rowOf));
}

/** The cells of an event; what it does not have is a dash. */
function rowOf(row: AuditEntry): string[] {
  const detail: Record<string, unknown> = row.detail === null ? {} : JSON.parse(row.detail);
  return [
    showTime(row.at),
    row.actor_name || row.actor,
    row.action,
    imageOf(row) || accountsIn(detail) || '-',
    resultOf(row, detail),
    row.address ?? '-',
  ];
}

function resultOf({ allowed, status, error }: AuditEntry, { count }: Record<string, unknown>): string {
  if (allowed === 1) return 'ok';
  const reason = ['refused', status, error].filter(Boolean).join(' ');
  // Repeated refusals are one event.
  return count === undefined ? reason : `${reason}, ${count} times`;
}

/** The repository with the tag, or else the digest, as image names have them. */
function imageOf({ repository, tag, digest }: AuditEntry): string {
  const version = tag !== null ? `:${tag}` : digest !== null ? `@${digest.slice(0, shortDigest)}` : '';
  return `${repository ?? ''}${version}`;
}

/** Characters that tell the digests of a registry apart for people: the algorithm and 12 digits. */
const shortDigest = 'sha256:'.length + 12;

/** The fields of `detail` that say what was changed, in the order in which they are shown. */
const changeable = ['organisation', 'trust', 'pattern', 'team', 'token', 'key', 'robot', 'user', 'users'];

/** What a change of accounts and rights was made to. */
function accountsIn(detail: Record<string, unknown>): string {
  return changeable
    .filter((field) => detail[field] !== undefined)
    .map((field) => `${field} ${several(detail[field])}`)
    .join(', ');
}

function several(names: unknown): string {
  if (!Array.isArray(names)) return `${names}`;
  const more = names.length > 3 ? ` and ${names.length - 3} more` : '';
  return names.slice(0, 3).join(', ') + more;
}
