import type { OutgoingHttpHeader } from 'node:http';
import type { Digest } from '../oci/digest.ts';
import { type ErrorCode, RegistryError } from '../oci/errors.ts';
import type { ByteRange, OpenBlob } from '../storage/blob-store.ts';
import { errorBody, retryHeaders, statusOf } from './error-status.ts';

export type Headers = Readonly<Record<string, OutgoingHttpHeader>>;

/** The answer to a request: a handler returns it, and `sendAnswer` sends it. */
export interface Answer {
  readonly status: number;
  /** Headers besides those of every answer. `sendAnswer` adds a missing `Content-Length`, except for a `BlobBody`. */
  readonly headers: Headers;
  /** Absent: the answer has no body. */
  readonly body?: Buffer | string | BlobBody | undefined;
  /** Texts for people, one `Warning: 299 - "<text>"` each (distribution spec, Warnings): printable ASCII, 4096 bytes in all. */
  readonly warnings?: readonly string[] | undefined;
  /** The digest of the manifest in the body, for the audit log: a request by tag does not name it. */
  readonly manifest?: Digest | undefined;
}

/** Ranges of a blob, which are sent one after another. */
export interface BlobBody {
  readonly parts: readonly BlobPart[];
  /**
   * The blob, open for the first part at least; `sendAnswer` closes it. Opened before the answer is made: after the head is sent,
   * only a broken connection can signal that a blob cannot be opened.
   */
  readonly opened: OpenBlob;
  /** Opens the blob for each part after the first. */
  readonly open: (range: ByteRange) => Promise<OpenBlob>;
  /** The text after the last part, in a multipart answer. */
  readonly epilogue?: string;
}

export interface BlobPart {
  readonly range: ByteRange;
  /** The boundary and headers before it, in a multipart answer. */
  readonly preamble?: string;
}

/** An error whose answer has headers of its own. */
export class ErrorWithHeaders extends RegistryError {
  readonly headers: Headers;

  constructor(
    code: ErrorCode,
    detail: unknown,
    headers: Headers,
    options?: { cause?: unknown; retryAfter?: number },
  ) {
    super(code, detail, options);
    this.headers = headers;
  }
}

/** @param headers added to those of the error */
export function errorAnswer(error: RegistryError, headers?: Headers): Answer {
  return {
    status: statusOf[error.code],
    headers: {
      'Content-Type': 'application/json',
      ...retryHeaders(error),
      ...(error instanceof ErrorWithHeaders && error.headers),
      ...headers,
    },
    body: errorBody(error),
  };
}

/** {@link Answer.warnings} with one that may be absent. */
export function warningsOf(warning: string | undefined): readonly string[] {
  return warning === undefined ? [] : [warning];
}
