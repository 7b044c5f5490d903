import { actorOf } from '../access/actor.ts';
import type { NewAuditEvent } from '../db/audit-events.ts';
import { printDetail } from '../db/changes.ts';
import { cleanText } from '../db/storable.ts';
import type { AuditEvent } from './event.ts';

/** Converts an event to a row; removes characters that a database rejects. */
export function rowOf({ identity, ...event }: AuditEvent, now: number): NewAuditEvent {
  const { actor, actor_name, credential, address, request_id } = actorOf(identity, event);
  return {
    at: event.at ?? now,
    action: event.action,
    allowed: Number(event.allowed),
    actor,
    actor_name,
    credential,
    address,
    repository: cleanOrNull(event.repository),
    tag: cleanOrNull(event.tag),
    digest: cleanOrNull(event.digest),
    status: event.status ?? null,
    error: cleanOrNull(event.error),
    detail: event.detail === undefined ? null : printDetail(event.detail),
    request_id,
  };
}

function cleanOrNull(text: string | undefined): string | null {
  return text === undefined ? null : cleanText(text);
}
