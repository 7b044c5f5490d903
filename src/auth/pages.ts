// The routes for browsers, in their own scope: they accept only forms, and answer errors with pages.
import type { FastifyInstance } from 'fastify';
import { anonymousIdentity } from '../access/identity.ts';
import type { Sessions } from '../access/login/sessions.ts';
import { Refused } from '../access/refused.ts';
import { IdentityTaken } from '../administration/identities.ts';
import { NameTaken } from '../administration/sign-on.ts';
import { asRegistryError } from '../core/faults.ts';
import type { ClientOf } from '../http/client.ts';
import { retryAfterOf, statusOf } from '../http/error-status.ts';
import { type AccountParts, addAccount } from './account.ts';
import { Browser, NotOurForm } from './browser.ts';
import { acceptForms } from './forms.ts';
import { sendMessage } from './page.ts';
import { NoAttempt, NotSignedOn, ProviderUnavailable } from './provider-errors.ts';
import { addSignOn, type SignOnParts } from './sign-on.ts';

/** The maximum bytes of a form. */
const bodyLimit = 16 * 1024;

export interface PagesParts extends Omit<SignOnParts & AccountParts, 'browser'> {
  readonly sessions: Sessions;
  readonly clientOf: ClientOf;
  readonly externalUrl: string | undefined;
}

export function addPages(http: FastifyInstance, parts: PagesParts): void {
  const browser = new Browser(parts);
  http.register(async (scope) => {
    acceptForms(scope, bodyLimit);
    scope.setErrorHandler((error: Error & { statusCode?: number }, request, reply) => {
      if (error instanceof NotOurForm) {
        parts.audit.record({
          action: 'account.form',
          allowed: false,
          identity: anonymousIdentity,
          address: browser.addressOf(request),
          requestId: request.id,
          error: 'DENIED',
          detail: { path: request.routeOptions.url },
        });
      }
      const { status, title, text, retryAfter } = pageOf(error);
      if (retryAfter !== undefined) reply.header('retry-after', retryAfter);
      if (status >= 500) request.log.error({ err: error.cause ?? error }, error.message);
      else request.log.warn({ err: error.cause ?? error.message }, 'page request refused');
      return sendMessage(reply, { status, title, text });
    });
    addSignOn(scope, { ...parts, browser });
    addAccount(scope, { ...parts, browser });
  });
}

interface Message {
  readonly status: number;
  readonly title: string;
  readonly text: string;
  /** Seconds. */
  readonly retryAfter?: number | undefined;
}

function pageOf(error: Error & { statusCode?: number }): Message {
  if (error instanceof NameTaken) return { status: 403, title: 'Name taken', text: error.message };
  if (error instanceof IdentityTaken) return { status: 403, title: 'Not linked', text: error.message };
  if (error instanceof Refused) return { status: 403, title: 'Request rejected', text: error.message };
  if (error instanceof NotOurForm) return { status: 403, title: 'Request rejected', text: error.message };
  if (error instanceof NotSignedOn) return { status: 403, title: 'Not signed in', text: error.message };
  if (error instanceof NoAttempt) return { status: 400, title: 'Not signed in', text: error.message };
  if (error instanceof ProviderUnavailable) {
    return { status: 502, title: 'Not signed in', text: `${error.message}; try again in a moment` };
  }
  const { statusCode = 500 } = error;
  if (statusCode < 500)
    return { status: statusCode, title: 'Invalid form', text: 'The form could not be read.' };
  const known = asRegistryError(error);
  const [status, retryAfter] = [statusOf[known.code], retryAfterOf(known)];
  if (known.code === 'TOOMANYREQUESTS') {
    const text = `Too many attempts: wait ${retryAfter} seconds.`;
    return { status, title: 'Too many requests', text, retryAfter };
  }
  if (known.code === 'UNAVAILABLE' || known.code === 'STORAGE_FULL') {
    return {
      status,
      title: 'Service unavailable',
      text: 'The request failed; try again later. The cause is in the log of Berth.',
      retryAfter,
    };
  }
  return {
    status: 500,
    title: 'Internal error',
    text: 'The request failed; the cause is in the log of Berth.',
  };
}
