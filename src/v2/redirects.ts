import { membership, type Network } from '../http/networks.ts';
import type { HttpRequest } from '../http/request.ts';

export interface RedirectPolicy {
  readonly redirect: boolean;
  /** Networks whose clients cannot reach the store. */
  readonly streamTo: readonly Network[];
}

/** Whether the client is redirected to the store; otherwise Berth sends the bytes. */
export type Redirects = (request: HttpRequest) => boolean;

/** `undefined` when redirects are off. */
export function redirectsOf({ redirect, streamTo }: RedirectPolicy): Redirects | undefined {
  if (!redirect) return undefined;
  const isStreamedTo = membership(streamTo);
  return ({ client: { address } }) => address !== '' && !isStreamedTo(address);
}
