// Formats the audit log as a table.
import { showTime } from '../administration/show-time.ts';
import type { AuditEntry } from '../db/audit-events.ts';
import { shortDigest, table } from './table.ts';

const headings = ['TIME', 'USER', 'ACTION', 'OBJECT', 'RESULT', 'ADDRESS'];

export function auditTable(events: readonly AuditEntry[]): string {
  return table(headings, events.map(rowOf));
}

/** The cells of an event; a missing value is a dash. */
function rowOf(row: AuditEntry): string[] {
  const detail: Record<string, unknown> = row.detail === null ? {} : JSON.parse(row.detail);
  return [
    showTime(row.at),
    row.actor_name || row.actor,
    row.action,
    imageOf(row) || objectsIn(detail) || '-',
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

/** The image name: the repository with the tag, else with the short digest. */
function imageOf({ repository, tag, digest }: AuditEntry): string {
  const version = tag !== null ? `:${tag}` : digest !== null ? `@${shortDigest(digest)}` : '';
  return `${repository ?? ''}${version}`;
}

/** The fields of `detail` that name the changed objects, in display order. */
const objectFields = ['organisation', 'trust', 'pattern', 'team', 'token', 'key', 'robot', 'user', 'users'];

/** The accounts, rights and keys that were changed. */
function objectsIn(detail: Record<string, unknown>): string {
  return objectFields
    .filter((field) => detail[field] !== undefined)
    .map((field) => `${field} ${namesIn(detail[field])}`)
    .join(', ');
}

/** At most three names. */
function namesIn(names: unknown): string {
  if (!Array.isArray(names)) return `${names}`;
  const more = names.length > 3 ? ` and ${names.length - 3} more` : '';
  return names.slice(0, 3).join(', ') + more;
}
