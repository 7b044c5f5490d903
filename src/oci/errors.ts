/**
 * Error codes and messages for clients: the OCI distribution spec's ("Error Codes"), and those that CNCF distribution
 * added and clients print (`RANGE_INVALID`, `TAG_INVALID`, …).
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
  PRECONDITION_FAILED: 'the reference does not match the If-Match or If-None-Match condition',
  RANGE_INVALID: 'invalid content range',
  REQUEST_INVALID: 'the request is not valid HTTP',
  REQUEST_TIMEOUT: 'the request body arrived too slowly',
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
 * The only error that reaches a client. `detail` is sent to the client unchanged: never put internal text into it.
 * `cause` is only logged.
 */
export class RegistryError extends Error {
  readonly code: ErrorCode;
  readonly detail: unknown;
  /** Seconds after which a retry may succeed, if known. */
  readonly retryAfter: number | undefined;

  /** @param options.message replaces the code's message: docker prints the message and no detail */
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
