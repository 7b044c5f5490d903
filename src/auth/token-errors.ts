// Errors of the token server, with a status, the fields of OAuth2 (RFC 6749, 5.2), and the error list of the registry API, which
// docker, podman and crane read.
import type { FastifyReply } from 'fastify';
import { TooManyScopes } from '../access/tokens/docker-scope.ts';
import { asRegistryError } from '../core/faults.ts';
import { errorBody, retryHeaders, statusOf } from '../http/error-status.ts';
import { RegistryError } from '../oci/errors.ts';

/** A request that is invalid with any credentials. */
export class BadTokenRequest extends Error {
  readonly error: 'invalid_request' | 'unsupported_grant_type' | 'invalid_scope';
  readonly status: number;

  /** @param message for developers of the client */
  constructor(error: BadTokenRequest['error'], message: string, status = 400) {
    super(message);
    this.name = 'BadTokenRequest';
    this.error = error;
    this.status = status;
  }
}

/** Answers with the error, and returns the error for the log. */
export function replyError(reply: FastifyReply, thrown: unknown): RegistryError {
  const bad = asBadRequest(thrown);
  const error = bad ? new RegistryError('UNSUPPORTED', bad.message) : withDetail(asRegistryError(thrown));
  const word = bad?.error ?? wordFor(error);
  reply.code(bad?.status ?? statusOf[error.code]);
  if (error.code === 'UNAUTHORIZED') reply.header('WWW-Authenticate', 'Basic realm="berth", charset="UTF-8"');
  reply.headers(retryHeaders(error));
  const description = typeof error.detail === 'string' ? error.detail : error.message;
  void reply.send({ error: word, error_description: description, ...JSON.parse(errorBody(error)) });
  return error;
}

/**
 * Adds the same detail to every failed login. Docker shows the message of an error only if it has a detail. After an error without
 * a detail, docker retries a push for most of a minute.
 */
function withDetail(error: RegistryError): RegistryError {
  if (error.code !== 'UNAUTHORIZED' || error.detail !== undefined) return error;
  const detail = 'the user name, the password or the token is wrong or expired';
  return new RegistryError('UNAUTHORIZED', detail, { cause: error });
}

function asBadRequest(thrown: unknown): BadTokenRequest | undefined {
  if (thrown instanceof BadTokenRequest) return thrown;
  if (thrown instanceof TooManyScopes) return new BadTokenRequest('invalid_scope', thrown.message);
  // Fastify's own errors: a wrong media type, a body that is too long or incomplete.
  const { statusCode = 500, message } = (thrown ?? {}) as { statusCode?: number; message?: string };
  if (statusCode < 400 || statusCode > 499) return undefined;
  return new BadTokenRequest('invalid_request', `${message}`, statusCode);
}

function wordFor({ code }: RegistryError): string {
  if (code === 'UNAUTHORIZED') return 'invalid_grant';
  return code === 'UNKNOWN' ? 'server_error' : 'temporarily_unavailable';
}
