import type { Identity } from '../access/identity.ts';
import type { AuditAction } from './actions.ts';

/** One thing that was done or refused. No field is ever a secret: the log is read by people who do not have them. */
export interface AuditEvent {
  readonly action: AuditAction;
  /** False: it was refused. */
  readonly allowed: boolean;
  readonly identity: Identity;
  /** Where it came from. */
  readonly address?: string | undefined;
  readonly repository?: string | undefined;
  readonly tag?: string | undefined;
  readonly digest?: string | undefined;
  /** Of the HTTP answer. */
  readonly status?: number | undefined;
  /** An OCI error's code, or a word of that kind. */
  readonly error?: string | undefined;
  /** What else was asked for; anything that JSON can say. */
  readonly detail?: Readonly<Record<string, unknown>> | undefined;
  readonly requestId?: string | undefined;
  /** Milliseconds since 1970; now, when it is left out. */
  readonly at?: number | undefined;
}
