import { membership, type Network } from '../http/networks.ts';
import type { Exchange } from './exchange.ts';

export interface RedirectPolicy {
  readonly redirect: boolean;
  /** Clients that cannot reach the place where the bytes lie. */
  readonly streamTo: readonly Network[];
}

/**
 * Who is sent to where a blob's bytes lie; all others get them from here. Whoever connects is judged by the address, which may be a
 * proxy's.
 */
export type Redirects = (exchange: Exchange) => boolean;

/** Absent where nobody is to be redirected. */
export function redirectsOf({ redirect, streamTo }: RedirectPolicy): Redirects | undefined {
  if (!redirect) return undefined;
  const isStreamedTo = membership(streamTo);
  return ({ request }) => {
    const { remoteAddress } = request.socket;
    return remoteAddress !== undefined && !isStreamedTo(remoteAddress);
  };
}
