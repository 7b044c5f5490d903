import { credentialKey, principalKey } from '../access/identity.ts';
import type { NewAuditEvent } from '../db/audit-events.ts';
import type { AuditEvent } from './event.ts';

/** Who did it, in the three forms that the log keeps. */
export type Actor = Pick<NewAuditEvent, 'actor' | 'actor_name' | 'credential'>;

const maxText = 512;
const maxDetail = 4_096;

/** The event as a row that every database takes, whatever a caller has put into a name. */
export function rowOf({ identity, ...event }: AuditEvent, now: number): NewAuditEvent {
  const { principal, credential } = identity;
  return rowBy(event, now, {
    actor: principalKey(principal),
    actor_name: 'name' in principal ? principal.name : '',
    credential: credentialKey(credential),
  });
}

export function rowBy(event: Omit<AuditEvent, 'identity'>, now: number, by: Actor): NewAuditEvent {
  return {
    at: event.at ?? now,
    action: event.action,
    allowed: Number(event.allowed),
    actor: clean(by.actor),
    actor_name: clean(by.actor_name),
    credential: clean(by.credential),
    address: cleanOrNull(event.address),
    repository: cleanOrNull(event.repository),
    tag: cleanOrNull(event.tag),
    digest: cleanOrNull(event.digest),
    status: event.status ?? null,
    error: cleanOrNull(event.error),
    detail: event.detail === undefined ? null : detailOf(event.detail),
    request_id: cleanOrNull(event.requestId),
  };
}

function cleanOrNull(text: string | undefined): string | null {
  return text === undefined ? null : clean(text);
}

/** Neither what PostgreSQL has no form for, nor what plays tricks on whoever reads the log at a terminal. */
function clean(text: string): string {
  return text
    .slice(0, maxText)
    .toWellFormed()
    .replaceAll(/\p{Cc}/gu, '\u{fffd}');
}

function detailOf(detail: Readonly<Record<string, unknown>>): string {
  const text = JSON.stringify(detail);
  return text.length <= maxDetail ? text : JSON.stringify({ omitted: `${text.length} characters` });
}
