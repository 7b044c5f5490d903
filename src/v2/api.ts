import type { Access } from '../access/access.ts';
import { anonymousCaller, type Caller } from '../access/caller.ts';
import { anonymousIdentity, claimantOf, type Identity } from '../access/identity.ts';
import { parseBasic } from '../access/login/basic.ts';
import type { Permit } from '../access/permit.ts';
import { asRegistryError } from '../core/faults.ts';
import { type Answer, errorAnswer, type Headers } from '../http/answer.ts';
import { answerRequests } from '../http/answer-requests.ts';
import type { HttpRequest, RequestParts } from '../http/request.ts';
import type { RawHandler } from '../http/server.ts';
import type { Digest } from '../oci/digest.ts';
import { type ErrorCode, RegistryError } from '../oci/errors.ts';
import { aliasWarnings, routeThrough } from './alias.ts';
import { deleteBlob, getBlob } from './blobs.ts';
import { listRepositories } from './catalog.ts';
import { challengeHeaders, isChallenge, type TokenServer } from './challenge.ts';
import type { Handler, HandlerParts } from './handler.ts';
import type { Limits } from './limits.ts';
import { deleteManifest, getManifest, putManifest } from './manifests.ts';
import { listReferrers } from './referrers.ts';
import { type Action, parseRoute, provisional, type Route, rightOf } from './routes.ts';
import { listTags } from './tags.ts';
import { deleteUpload, getUpload, patchUpload, putUpload, startUpload } from './uploads.ts';

/** The parts that the API needs. */
export interface RegistryApiParts extends HandlerParts, RequestParts {
  readonly tokenServer: TokenServer;
  readonly deletesEnabled: boolean;
  /** Absent: no limits. */
  readonly limits?: Limits | undefined;
  /** Called for every answered request. */
  readonly observe: (served: Served) => void;
}

/** A request that has been answered. */
export interface Served {
  readonly request: HttpRequest;
  /** Absent when the URL names no resource. */
  readonly route: Route | undefined;
  /** The authenticated identity; after a failed login, the claimed one. */
  readonly identity: Identity;
  /** The request had credentials, and they were refused. */
  readonly loginFailed: boolean;
  readonly status: number;
  /** The digest of the manifest that was sent. */
  readonly manifest: Digest | undefined;
  /** Bytes of the answer's body. */
  readonly sent: number;
  /** Bytes of the request's body that were read. */
  readonly received: number;
  /** Milliseconds. */
  readonly duration: number;
  /** The error for the log; its `cause` is not in the answer. */
  readonly error: RegistryError | undefined;
}

/** The answer to a request, and the other facts that its log line needs. */
interface Outcome extends Pick<Served, 'route' | 'identity' | 'loginFailed' | 'error'> {
  readonly answer: Answer;
}

/** One handler for each action. */
const handlers: { readonly [A in Action]: Handler<A> } = {
  // end-1
  getBase: () => ({ status: 200, headers: { 'Content-Type': 'application/json' }, body: '{}' }),
  getManifest,
  putManifest,
  deleteManifest,
  getBlob,
  deleteBlob,
  startUpload,
  getUpload,
  patchUpload,
  putUpload,
  deleteUpload,
  listTags,
  listReferrers,
  listRepositories,
};

/** The OCI distribution API: answers any request below `/v2`. */
export function registryApi(parts: RegistryApiParts): RawHandler {
  const { clientOf, locationBase, connections } = parts;
  return answerRequests<Outcome>({
    clientOf,
    locationBase,
    connections,
    answer(request) {
      const { refusal } = request;
      return refusal === undefined ? answerRequest(parts, request) : refuse(request, refusal);
    },
    observe(request, outcome, { status, sent, duration, failure }) {
      const { answer, route, identity, loginFailed } = outcome;
      parts.observe({
        request,
        route,
        identity,
        loginFailed,
        status,
        manifest: answer.manifest,
        sent,
        received: request.received,
        duration,
        error: failure === undefined ? outcome.error : asRegistryError(failure),
      });
    },
  });
}

/** The answer to a request that is refused before its route and credentials are read. */
function refuse(request: HttpRequest, error: RegistryError): Outcome {
  const answer = errorAnswer(error);
  return { answer, route: undefined, identity: claimedIdentity(request), loginFailed: false, error };
}

/** Never rejects: an error becomes an answer. */
async function answerRequest(parts: RegistryApiParts, request: HttpRequest): Promise<Outcome> {
  const { access, limits } = parts;
  let route: Route | undefined;
  let caller: Caller | undefined;
  let limitHeaders: Headers | undefined;
  let permit: Permit | undefined;
  try {
    const { refusal } = request;
    if (refusal !== undefined) throw refusal;
    limits?.countByAddress(request);
    route = parseRoute(request.method, request.path);
    // Only promises are awaited: each await delays every pull by a turn of the microtask queue.
    const authenticated = authenticate(access, request);
    caller = authenticated instanceof Promise ? await authenticated : authenticated;
    const authorized = authorize(access, caller, route);
    permit = authorized instanceof Promise ? await authorized : authorized;
    if (rightOf[route.action] === 'delete' && !parts.deletesEnabled) {
      throw new RegistryError('UNSUPPORTED', 'deletes are disabled on this registry (deletes.enabled)');
    }
    if (limits) limitHeaders = await limits.admit(request, route, caller.identity);
    let answer: Answer;
    try {
      answer = await handle(parts, request, route, permit);
    } catch (error) {
      const found = permit.alias ? undefined : await permitAfterMiss(access, caller, route, error);
      if (found === undefined) throw error;
      permit = found;
      answer = await handle(parts, request, route, permit);
    }
    return {
      answer: withWarnings(
        limitHeaders ? { ...answer, headers: { ...answer.headers, ...limitHeaders } } : answer,
        route,
        permit,
      ),
      route: routeThrough(route, permit.alias),
      identity: caller.identity,
      loginFailed: false,
      error: undefined,
    };
  } catch (thrown) {
    const error = asRegistryError(thrown);
    const challenge =
      route !== undefined && isChallenge(error)
        ? challengeHeaders(parts.tokenServer, request, route, error)
        : undefined;
    const plain = errorAnswer(error, { ...challenge, ...limitHeaders });
    const answer = challenge ? { ...plain, status: 401 } : plain;
    return {
      answer: route ? withWarnings(answer, route, permit) : answer,
      route: route && routeThrough(route, permit?.alias),
      identity: caller?.identity ?? claimedIdentity(request),
      // A request refused before authentication has no route yet.
      loginFailed: route !== undefined && caller === undefined,
      error,
    };
  }
}

function handle(
  parts: HandlerParts,
  request: HttpRequest,
  route: Route,
  permit: Permit,
): Answer | Promise<Answer> {
  const handler = handlers[route.action] as Handler<Action>;
  return handler(parts, request, routeThrough(route, permit.alias), permit);
}

const misses: ReadonlySet<ErrorCode> = new Set(['NAME_UNKNOWN', 'MANIFEST_UNKNOWN', 'BLOB_UNKNOWN']);

/** After a read that found nothing: the permit for the repository of which the name is an alias. */
async function permitAfterMiss(
  access: Access,
  caller: Caller,
  route: Route,
  error: unknown,
): Promise<Permit | undefined> {
  if (!(error instanceof RegistryError && misses.has(error.code))) return undefined;
  if (provisional[route.action] !== 'miss' || !('name' in route)) return undefined;
  return access.authorizeAlias(caller, rightOf[route.action], route.name);
}

function withWarnings(answer: Answer, route: Route, permit: Permit | undefined): Answer {
  if (permit?.alias === undefined || !('name' in route)) return answer;
  const warnings = aliasWarnings(route.name, permit.alias);
  return { ...answer, warnings: [...(answer.warnings ?? []), ...warnings] };
}

function authenticate(access: Access, request: HttpRequest): Caller | Promise<Caller> {
  const { authorization } = request.headers;
  if (authorization === undefined) return anonymousCaller;
  return access.identify(authorization, request.client.address);
}

/** The claimed user of wrong Basic credentials; a wrong Bearer token names none. */
function claimedIdentity({ headers }: HttpRequest): Identity {
  const credentials = parseBasic(headers.authorization);
  return credentials === undefined ? anonymousIdentity : claimantOf(credentials.username);
}

function authorize(access: Access, caller: Caller, route: Route): Permit | Promise<Permit> {
  return 'name' in route
    ? access.authorize(caller, rightOf[route.action], route.name, provisional[route.action])
    : access.authorizeRegistry(caller, rightOf[route.action]);
}
