// The token server: Docker's "Token Authentication Specification" by GET, its OAuth2 form by POST, and RFC 8693 for ID tokens.
import type { IncomingMessage } from 'node:http';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { anonymousIdentity, claimantOf, type Identity } from '../access/identity.ts';
import { type Credentials, parseBasic } from '../access/login/basic.ts';
import type { RequestLimits } from '../access/request-limits.ts';
import type { BearerTokens } from '../access/tokens/bearer.ts';
import { type Asked, parseAsked } from '../access/tokens/docker-scope.ts';
import type { TokenGrant, TokenGrants } from '../access/tokens/token-grants.ts';
import type { Audit } from '../audit/audit.ts';
import { note } from '../http/observe.ts';
import { RegistryError } from '../oci/errors.ts';
import { acceptForms } from './forms.ts';
import { BadTokenRequest, replyError } from './token-errors.ts';

export const tokenPath = '/auth/token';

export interface TokenServerParts {
  readonly logins: {
    /** @throws RegistryError `UNAUTHORIZED` | `TOOMANYREQUESTS` | `UNAVAILABLE` */
    authenticate(credentials: Credentials, address: string): Promise<Identity>;
  };
  readonly tokens: BearerTokens;
  readonly grants: TokenGrants;
  readonly audit: Pick<Audit, 'record'>;
  /** The client of a request. */
  readonly clientOf: (request: IncomingMessage) => { readonly address: string };
  /** Absent: no limits. */
  readonly limits?: Pick<RequestLimits, 'countByAddress' | 'countByUser'> | undefined;
}

const maxForm = 64 << 10;

const exchangeGrant = 'urn:ietf:params:oauth:grant-type:token-exchange';
const accessTokenType = 'urn:ietf:params:oauth:token-type:access_token';
/** The accepted types of an ID token (RFC 8693, 3). */
const idTokenTypes = ['urn:ietf:params:oauth:token-type:id_token', 'urn:ietf:params:oauth:token-type:jwt'];

export function addTokenServer(http: FastifyInstance, parts: TokenServerParts): void {
  void http.register(async (routes) => {
    acceptForms(routes, maxForm);
    routes.setErrorHandler((error, request, reply) => {
      note(request.raw, { error: replyError(reply, error) });
    });
    routes.addHook('onRequest', async (request, reply) => {
      // 2.1 and RFC 6749, 5.1: tokens must not be cached.
      reply.header('Cache-Control', 'no-store');
      parts.limits?.countByAddress({ client: parts.clientOf(request.raw) });
    });
    routes.get(tokenPath, (request) => getToken(parts, request));
    routes.post(tokenPath, (request) => postToken(parts, request));
  });
}

async function getToken(parts: TokenServerParts, request: FastifyRequest) {
  const question = request.url.indexOf('?');
  const query = new URLSearchParams(question === -1 ? '' : request.url.slice(question));
  const asked = parseAsked(query.getAll('scope'));
  const offline = query.get('offline_token') === 'true';
  const identity = await authenticateHeader(parts, request, { isLogin: offline || hasNoScope(asked) });
  const grant = await grantTo(parts, request, identity, asked);
  return {
    token: grant.token,
    ...replyOf(grant),
    ...(offline && (await refreshOf(parts, identity, grant))),
  };
}

async function postToken(parts: TokenServerParts, request: FastifyRequest) {
  const form = request.body instanceof URLSearchParams ? request.body : new URLSearchParams();
  const asked = parseAsked(form.getAll('scope'));
  const type = need(form, 'grant_type');
  const offline = form.get('access_type') === 'offline' && type !== 'refresh_token';
  const identity = await authenticateForm(parts, request, form, {
    type,
    isLogin: offline || hasNoScope(asked),
  });
  const grant = await grantTo(parts, request, identity, asked);
  return {
    ...replyOf(grant),
    token_type: 'Bearer',
    scope: scopeOf(grant),
    ...(type === exchangeGrant && { issued_token_type: accessTokenType }),
    ...(offline && (await refreshOf(parts, identity, grant))),
  };
}

/** Whether the request is for no repository and not for the catalog: `docker login` sends such a request. */
function hasNoScope({ repositories, catalog }: Asked): boolean {
  return repositories.size === 0 && !catalog;
}

interface Purpose {
  /** Whether the audit log records this as a login. Other token requests are too many to record. */
  readonly isLogin: boolean;
}

/** Authenticates the Authorization header of a GET. @throws RegistryError */
async function authenticateHeader(
  parts: TokenServerParts,
  request: FastifyRequest,
  purpose: Purpose,
): Promise<Identity> {
  const { authorization } = request.headers;
  if (authorization === undefined) return anonymousIdentity;
  const credentials = parseBasic(authorization);
  if (credentials === undefined) {
    return recordingRefusal(parts, request, anonymousIdentity, async () => {
      throw new RegistryError('UNAUTHORIZED', 'the Authorization header must use Basic');
    });
  }
  return logIn(parts, request, credentials, purpose);
}

/** Authenticates the form of a POST. @throws RegistryError | BadTokenRequest */
async function authenticateForm(
  parts: TokenServerParts,
  request: FastifyRequest,
  form: URLSearchParams,
  { type, isLogin }: Purpose & { readonly type: string },
): Promise<Identity> {
  switch (type) {
    case 'password': {
      const credentials = { username: need(form, 'username'), password: need(form, 'password') };
      return logIn(parts, request, credentials, { isLogin });
    }
    case 'refresh_token': {
      const token = need(form, 'refresh_token');
      return recordingRefusal(parts, request, anonymousIdentity, () => parts.tokens.verifyRefresh(token));
    }
    case exchangeGrant: {
      const organisation = form.get('account') ?? need(form, 'audience');
      const token = need(form, 'subject_token');
      if (form.has('subject_token_type') && !idTokenTypes.includes(need(form, 'subject_token_type'))) {
        throw new BadTokenRequest(
          'invalid_request',
          `subject_token_type must be one of ${idTokenTypes.join(', ')}`,
        );
      }
      const credentials = { username: organisation, password: token };
      const identity = await logIn(parts, request, credentials, { isLogin: true });
      if (identity.credential.kind !== 'id-token') {
        throw new RegistryError('UNAUTHORIZED', 'subject_token is not an ID token');
      }
      return identity;
    }
    default:
      throw new BadTokenRequest(
        'unsupported_grant_type',
        `grant_type must be one of password, refresh_token and ${exchangeGrant}`,
      );
  }
}

async function logIn(
  parts: TokenServerParts,
  request: FastifyRequest,
  credentials: Credentials,
  { isLogin }: Purpose,
): Promise<Identity> {
  const { address } = parts.clientOf(request.raw);
  const identity = await recordingRefusal(parts, request, claimantOf(credentials.username), () =>
    parts.logins.authenticate(credentials, address),
  );
  if (isLogin) {
    parts.audit.record({ action: 'login', allowed: true, identity, address, requestId: request.id });
  }
  return identity;
}

/** Issues a token. Refuses credentials that are no longer valid, such as a refresh token of a disabled user. */
function grantTo(
  parts: TokenServerParts,
  request: FastifyRequest,
  identity: Identity,
  asked: Asked,
): Promise<TokenGrant> {
  note(request.raw, { identity });
  parts.limits?.countByUser(identity);
  const grant = () => parts.grants.grant(identity, asked);
  // A challenge to a caller without credentials is no refusal.
  return identity === anonymousIdentity ? grant() : recordingRefusal(parts, request, identity, grant);
}

/** Records a refusal by `work` in the audit log, as a failed login of `identity`. */
async function recordingRefusal<T>(
  { audit, clientOf }: TokenServerParts,
  request: FastifyRequest,
  identity: Identity,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof RegistryError) {
      const { address } = clientOf(request.raw);
      const event = { action: 'login', address, requestId: request.id } as const;
      audit.record({ ...event, allowed: false, identity, error: error.code });
    }
    throw error;
  }
}

/** A required parameter, which must be sent once. */
function need(form: URLSearchParams, name: string): string {
  const [value = '', second] = form.getAll(name);
  // RFC 6749, 3.2: parameters MUST NOT be included more than once.
  if (value === '' || second !== undefined) {
    throw new BadTokenRequest('invalid_request', `the parameter ${name} must be sent exactly once`);
  }
  return value;
}

function replyOf({ token, expiresIn, issuedAt }: TokenGrant) {
  return { access_token: token, expires_in: expiresIn, issued_at: new Date(issuedAt).toISOString() };
}

async function refreshOf({ grants }: TokenServerParts, identity: Identity, grant: TokenGrant) {
  const refreshToken = await grants.refreshToken(identity, grant);
  return refreshToken === undefined ? {} : { refresh_token: refreshToken };
}

function scopeOf({ granted, catalog }: TokenGrant): string {
  const scopes = granted.map(({ name, actions }) => `repository:${name}:${actions.join(',')}`);
  return [...scopes, ...(catalog ? ['registry:catalog:*'] : [])].join(' ');
}
