import type { NewAuditEvent } from '../../src/db/audit-events.ts';

/** A login event with only the required fields. */
export const loginEvent: NewAuditEvent = {
  at: 1,
  action: 'login',
  allowed: 1,
  actor: 'user:7',
  actor_name: 'alice',
  credential: 'password',
  address: null,
  repository: null,
  tag: null,
  digest: null,
  status: null,
  error: null,
  detail: null,
  request_id: null,
};
