import type { NewAuditEvent } from '../../src/db/audit-events.ts';

/** A login of which no more is known than has to be. */
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
