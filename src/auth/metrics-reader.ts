import type { IncomingMessage } from 'node:http';
import { type Access, NotAdministrator } from '../access/access.ts';
import { anonymousIdentity, claimantOf } from '../access/identity.ts';
import { parseBasic } from '../access/login/basic.ts';
import type { Audit } from '../audit/audit.ts';
import { note } from '../http/observe.ts';
import { RegistryError } from '../oci/errors.ts';

export interface MetricsReaderParts {
  readonly access: Pick<Access, 'checkAdministrator'>;
  readonly audit: Pick<Audit, 'record'>;
  /** The client of a request. */
  readonly clientOf: (request: IncomingMessage) => { readonly address: string };
}

/** Authorizes readers of the metrics on the clients' listener; records refused credentials in the audit log. */
export function metricsReader({ access, audit, clientOf }: MetricsReaderParts) {
  /** @throws RegistryError `UNAUTHORIZED` | `DENIED` | `TOOMANYREQUESTS` | `UNAVAILABLE` */
  return async (request: IncomingMessage, requestId: string): Promise<void> => {
    const { authorization } = request.headers;
    const { address } = clientOf(request);
    try {
      const identity = await access.checkAdministrator(authorization, address);
      note(request, { identity });
    } catch (error) {
      // A challenge to a caller without credentials is no refusal.
      if (error instanceof RegistryError && authorization !== undefined) {
        const name = parseBasic(authorization)?.username;
        const claimed = name === undefined ? anonymousIdentity : claimantOf(name);
        const identity = error instanceof NotAdministrator ? error.identity : claimed;
        const event = { action: 'metrics.read', allowed: false, identity, address, requestId } as const;
        audit.record({ ...event, error: error.code });
      }
      throw error;
    }
  };
}
