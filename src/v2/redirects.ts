import { membership, type Network } from '../http/networks.ts';
import type { Exchange } from './exchange.ts';

export interface RedirectPolicy {
  readonly redirect: boolean;
  /** Clients that cannot reach the place where the bytes lie. */
  readonly streamTo: readonly Network[];
}

/** Who is sent to where a blob's bytes lie; all others get them from here. */
export type Redirects = (exchange: Exchange) => boolean;

/** Absent where nobody is to be redirected. */
export function redirectsOf({ redirect, streamTo }: RedirectPolicy): Redirects | undefined {
  if (!redirect) return undefined;
  const isStreamedTo = membership(streamTo);
  return ({ client: { address } }) => address !== '' && !isStreamedTo(address);
}
