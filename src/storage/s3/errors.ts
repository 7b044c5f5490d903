import { StoreFull, StoreRefused, StoreUnavailable } from '../store-errors.ts';

/** Fields that an SDK error may have. */
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

/** Whether the service says that the object does not exist. Other 404s do not say that: a missing bucket, or a proxy's page. */
export function isAbsent(error: unknown): boolean {
  const { name } = (error ?? {}) as S3Error;
  return name === 'NoSuchKey' || (name === 'NotFound' && statusOf(error) === 404);
}

export function isNamed(error: unknown, ...names: string[]): boolean {
  return names.includes((error as S3Error | undefined)?.name ?? '');
}

/**
 * Temporary statuses below 500: timeouts, conflicts, rate limits, and an object that was replaced (412) or is shorter than expected
 * (416).
 */
const temporary = new Set([408, 409, 412, 416, 425, 429]);

/** What the operator should check after a refusal. */
function remedyFor(status: number): string {
  if (status === 401 || status === 403) return 'check the credentials and their rights on the bucket';
  if (status === 404) return 'check that the bucket exists';
  return 'check whether the service supports this call (docs/how-to/store-blobs-in-s3.md lists those that were tried)';
}

/**
 * The failure of a call, safe to log: the SDK's own errors contain whole requests, signatures included.
 *
 * @param call the operation's name in the S3 API
 * @returns StoreFull; StoreRefused when a retry would get the same answer (permanent 4xx, or 501); else StoreUnavailable
 */
export function storeError(call: string, error: unknown): Error {
  const { name = 'Error', message = '', code, $metadata } = (error ?? {}) as S3Error;
  const status = statusOf(error);
  const parts = [code ?? name, ...(status === undefined ? [] : [`status ${status}`])];
  if ($metadata?.requestId) parts.push(`request ${$metadata.requestId}`);
  const text = `S3 ${call} failed (${parts.join(', ')}): ${message.replace(/\s+/g, ' ').slice(0, 300)}`;
  if (full.has(name) || status === 507) return new StoreFull(text);
  const refused = status === 501 || (status !== undefined && status >= 400 && status < 500);
  if (!refused || temporary.has(status)) return new StoreUnavailable(text);
  return new StoreRefused(`${text}; ${remedyFor(status)}`);
}

/** The reason why a bucket cannot be used, for the administrator. */
export function unusableReason(error: unknown): string {
  const { name, message, code } = (error ?? {}) as S3Error;
  if (name === 'CredentialsProviderError') return 'no credentials were found';
  const status = statusOf(error);
  if (status === 401 || status === 403)
    return `the credentials are wrong or lack rights on it (status ${status})`;
  if (status === 404) return 'the bucket does not exist';
  if (status === 301) return 'the bucket is in another region';
  if (status !== undefined) return `the service answers with status ${status}`;
  return code ?? (name === 'TimeoutError' ? 'no answer in time' : (message ?? 'no answer'));
}
