import type { Actor } from '../db/changes.ts';
import { cleanText } from '../db/storable.ts';
import { credentialKey, type Identity, principalKey } from './identity.ts';

/** The request that caused a change or an audit event. */
export interface RequestOrigin {
  /** `''`: the connection is gone. */
  readonly address?: string | undefined;
  /** The `User-Agent` header. */
  readonly client?: string | undefined;
  readonly requestId?: string | undefined;
}

/** Converts an identity and its request to the form that is recorded with a change. */
export function actorOf({ principal, credential }: Identity, request: RequestOrigin = {}): Actor {
  return {
    actor: cleanText(principalKey(principal)),
    actor_name: 'name' in principal ? cleanText(principal.name) : '',
    credential: credentialKey(credential),
    address: request.address ? cleanText(request.address) : null,
    client: request.client ? cleanText(request.client) : null,
    request_id: request.requestId ? cleanText(request.requestId) : null,
  };
}

/**
 * The actor of a command. Commands need no login: a user of the operating system that can open the database can change everything
 * in it.
 * @param user the name of the operating system's user
 */
export function commandLineActor(user: string): Actor {
  const name = cleanText(user);
  return {
    actor: `cli:${name}`,
    actor_name: name,
    credential: 'none',
    ...{ address: null, client: null, request_id: null },
  };
}
