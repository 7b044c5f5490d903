/**
 * What can go wrong, in the words clients know. The codes are the OCI distribution spec's ("Error Codes"),
 * with those that CNCF distribution added and clients print (`RANGE_INVALID`, `TAG_INVALID`, …).
 */
export const errorMessages = {
  BLOB_UNKNOWN: 'blob unknown to registry',
  BLOB_UPLOAD_INVALID: 'blob upload invalid',
  BLOB_UPLOAD_UNKNOWN: 'blob upload unknown to registry',
  DENIED: 'requested access to the resource is denied',
  DIGEST_INVALID: 'digest is malformed or does not match the content',
  ENCODING_UNSUPPORTED: 'an encoded body (Content-Encoding) is not accepted',
  MANIFEST_BLOB_UNKNOWN: 'manifest references content unknown to the repository',
  MANIFEST_INVALID: 'manifest invalid',
  MANIFEST_TOO_LARGE: 'manifest is larger than this registry accepts',
  MANIFEST_UNKNOWN: 'manifest unknown to registry',
  NAME_INVALID: 'invalid repository name',
  NAME_UNKNOWN: 'repository name not known to registry',
  NOT_IMPLEMENTED: 'this server does not implement what the request needs',
  PAGINATION_NUMBER_INVALID: 'invalid number of results requested',
  PRECONDITION_FAILED: 'the reference does not stand where the request expects it',
  RANGE_INVALID: 'invalid content range',
  REQUEST_INVALID: 'the request is no valid HTTP',
  REQUEST_TIMEOUT: 'the request body came too slowly',
  SIZE_INVALID: 'provided length did not match content length',
  STORAGE_FULL: 'the registry has no space left to store this',
  TAG_INVALID: 'invalid tag',
  TOO_MANY_TAGS: 'more tags in one request than this registry accepts',
  TOOMANYREQUESTS: 'too many requests',
  UNAUTHORIZED: 'authentication required',
  UNAVAILABLE: 'service temporarily unavailable',
  UNKNOWN: 'internal error',
  UNSUPPORTED: 'the operation is unsupported',
} as const;

export type ErrorCode = keyof typeof errorMessages;

/**
 * The one error that reaches a client. `detail` is shown to the caller as it is: never put an internal
 * text into it. `cause` is for the log alone.
 */
export class RegistryError extends Error {
  readonly code: ErrorCode;
  readonly detail: unknown;
  /** Seconds after which the same request may succeed, where that is known. */
  readonly retryAfter: number | undefined;

  /** @param options.message shown in place of the code's own: docker prints it and no detail */
  constructor(
    code: ErrorCode,
    detail?: unknown,
    options?: { cause?: unknown; retryAfter?: number; message?: string },
  ) {
    super(options?.message ?? errorMessages[code], options);
    this.retryAfter = options?.retryAfter;
    this.name = 'RegistryError';
    this.code = code;
    this.detail = detail;
  }
}
