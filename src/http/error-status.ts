import type { ErrorCode, RegistryError } from '../oci/errors.ts';

/** The HTTP status of each code (spec, "Error Codes"; distribution's own for the codes it added). */
export const statusOf: Readonly<Record<ErrorCode, number>> = {
  BLOB_UNKNOWN: 404,
  BLOB_UPLOAD_INVALID: 400,
  BLOB_UPLOAD_UNKNOWN: 404,
  DENIED: 403,
  DIGEST_INVALID: 400,
  ENCODING_UNSUPPORTED: 415,
  MANIFEST_BLOB_UNKNOWN: 400,
  MANIFEST_INVALID: 400,
  MANIFEST_TOO_LARGE: 413,
  MANIFEST_UNKNOWN: 404,
  NAME_INVALID: 400,
  NAME_UNKNOWN: 404,
  NOT_IMPLEMENTED: 501,
  PAGINATION_NUMBER_INVALID: 400,
  PRECONDITION_FAILED: 412,
  RANGE_INVALID: 416,
  REQUEST_INVALID: 400,
  REQUEST_TIMEOUT: 408,
  SIZE_INVALID: 400,
  STORAGE_FULL: 507,
  TAG_INVALID: 400,
  TOO_MANY_TAGS: 414,
  TOOMANYREQUESTS: 429,
  UNAUTHORIZED: 401,
  UNAVAILABLE: 503,
  UNKNOWN: 500,
  UNSUPPORTED: 405,
};

/** The error body (spec, "Error Codes"): `{"errors":[{"code","message","detail"}]}`. */
export function errorBody(error: RegistryError): string {
  const detail = error.detail === undefined ? {} : { detail: error.detail };
  return JSON.stringify({ errors: [{ code: error.code, message: error.message, ...detail }] });
}

/** Seconds after which a client may retry a request that failed with `error`; `undefined`: a retry fails again. */
export function retryAfterOf({ code, retryAfter }: RegistryError): number | undefined {
  return code === 'UNAVAILABLE' || code === 'TOOMANYREQUESTS' ? (retryAfter ?? 5) : undefined;
}

/** The `Retry-After` header for `error`; empty when a retry is useless. */
export function retryHeaders(error: RegistryError): Readonly<Record<string, string>> {
  const seconds = retryAfterOf(error);
  return seconds === undefined ? {} : { 'Retry-After': `${seconds}` };
}

/** nginx's status for a client that closed the connection before its answer. */
export const clientGone = 499;
