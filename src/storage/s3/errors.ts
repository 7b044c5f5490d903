import { StoreFull, StoreRefused, StoreUnavailable } from '../store-errors.ts';

/** What an error of the SDK may carry. */
interface S3Error {
  readonly name?: string;
  readonly message?: string;
  readonly code?: string;
  readonly $metadata?: { readonly httpStatusCode?: number; readonly requestId?: string };
}

const full = new Set([
  'EntityTooLarge',
  'InsufficientStorage',
  'QuotaExceeded',
  'XMinioAdminBucketQuotaExceeded',
  'XMinioStorageFull',
]);

export function statusOf(error: unknown): number | undefined {
  return (error as S3Error | undefined)?.$metadata?.httpStatusCode;
}

/** The service says that there is no such object. Any other 404 (no such bucket, a page of some proxy) says nothing of it. */
export function isAbsent(error: unknown): boolean {
  const { name } = (error ?? {}) as S3Error;
  return name === 'NoSuchKey' || (name === 'NotFound' && statusOf(error) === 404);
}

export function isNamed(error: unknown, ...names: string[]): boolean {
  return names.includes((error as S3Error | undefined)?.name ?? '');
}

/**
 * Statuses below 500 that are no refusal of the call: timeouts, conflicts with another call, limits of rate, and an object that is not
 * the one (412) or not as long (416) as expected.
 */
const passing = new Set([408, 409, 412, 416, 425, 429]);

/** What to check after a refusal, for the operator who reads the log. */
function remedyFor(status: number): string {
  if (status === 401 || status === 403) return 'check the credentials and their rights on the bucket';
  if (status === 404) return 'check that the bucket exists';
  return 'check whether the service supports this call (docs/how-to/store-blobs-in-s3.md lists those that were tried)';
}

/**
 * The failure of a call, in words that may go to a log: the SDK's own errors carry whole requests, signatures included.
 *
 * @param call the operation's name in the S3 API
 * @returns StoreFull; StoreRefused when a repeat gets the same answer (a permanent status of 4xx, or 501); else StoreUnavailable
 */
export function storeError(call: string, error: unknown): Error {
  const { name = 'Error', message = '', code, $metadata } = (error ?? {}) as S3Error;
  const status = statusOf(error);
  const parts = [code ?? name, ...(status === undefined ? [] : [`status ${status}`])];
  if ($metadata?.requestId) parts.push(`request ${$metadata.requestId}`);
  const text = `S3 ${call} failed (${parts.join(', ')}): ${message.replace(/\s+/g, ' ').slice(0, 300)}`;
  if (full.has(name) || status === 507) return new StoreFull(text);
  const refused = status === 501 || (status !== undefined && status >= 400 && status < 500);
  if (!refused || passing.has(status)) return new StoreUnavailable(text);
  return new StoreRefused(`${text}; ${remedyFor(status)}`);
}

/** Why a bucket cannot be used, as whoever has configured it wants to hear it. */
export function unusableReason(error: unknown): string {
  const { name, message, code } = (error ?? {}) as S3Error;
  if (name === 'CredentialsProviderError') return 'no credentials were found';
  const status = statusOf(error);
  if (status === 401 || status === 403) return 'the credentials are wrong or do not allow it (status 403)';
  if (status === 404) return 'there is no such bucket';
  if (status === 301) return 'the bucket is in another region';
  if (status !== undefined) return `the service answers with status ${status}`;
  return code ?? (name === 'TimeoutError' ? 'no answer in time' : (message ?? 'it does not answer'));
}
