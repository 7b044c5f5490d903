// Fetches small documents from other servers during a login: bounded in time and size, without redirects.

/** A document was refused; the message is for logs and administrators. */
export class FetchRefused extends Error {
  override readonly name = 'FetchRefused';
}

export interface FetchBounds {
  /** Milliseconds, to the end of the body. */
  readonly timeout: number;
  /** Bytes of the body, decoded. */
  readonly limit: number;
}

export const defaultBounds: FetchBounds = { timeout: 5_000, limit: 512 * 1024 };

/** Whether the connection cannot be tampered with: HTTPS, or plain HTTP to this machine. */
export function isTrustworthy(url: URL): boolean {
  return url.protocol === 'https:' || (url.protocol === 'http:' && isLoopbackHost(url.hostname));
}

function isLoopbackHost(hostname: string): boolean {
  // `URL` normalizes every spelling of an IPv4 address to the dotted form.
  return hostname === 'localhost' || hostname === '[::1]' || /^127\.[\d.]+$/.test(hostname);
}

/**
 * Like `fetch`, but reads the whole body and does not follow redirects.
 *
 * @throws FetchRefused when the address is not {@link isTrustworthy}, or the body is too large; DOMException `TimeoutError`; or
 *   what `fetch` throws
 */
export async function boundedFetch(
  url: string,
  init: RequestInit = {},
  { timeout, limit }: FetchBounds = defaultBounds,
): Promise<Response> {
  if (!isTrustworthy(new URL(url)))
    throw new FetchRefused(`${url} is neither https nor http to this machine`);
  const signals = [AbortSignal.timeout(timeout), ...(init.signal ? [init.signal] : [])];
  const response = await fetch(url, { ...init, redirect: 'manual', signal: AbortSignal.any(signals) });
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.length;
    // Leaving the loop cancels the body, which closes the connection.
    if (size > limit) throw new FetchRefused(`the document at ${url} has more than ${limit} bytes`);
    chunks.push(chunk);
  }
  const { status, statusText, headers } = response;
  return new Response(isEmpty(status) ? null : Buffer.concat(chunks), { status, statusText, headers });
}

/** Statuses for which `Response` allows no body. */
function isEmpty(status: number): boolean {
  return status === 204 || status === 205 || status === 304;
}
