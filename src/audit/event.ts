import type { Identity } from '../access/identity.ts';
import type { AuditAction } from './actions.ts';

/** An action that was done or refused. Contains no secrets. */
export interface AuditEvent {
  readonly action: AuditAction;
  /** False: refused. */
  readonly allowed: boolean;
  readonly identity: Identity;
  /** The client's IP address. */
  readonly address?: string | undefined;
  readonly repository?: string | undefined;
  readonly tag?: string | undefined;
  readonly digest?: string | undefined;
  /** The HTTP status. */
  readonly status?: number | undefined;
  /** An OCI error code. */
  readonly error?: string | undefined;
  /** More facts, as JSON values. */
  readonly detail?: Readonly<Record<string, unknown>> | undefined;
  readonly requestId?: string | undefined;
  /** Milliseconds since 1970; default: now. */
  readonly at?: number | undefined;
}
