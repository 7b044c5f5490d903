import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Access } from '../access/access.ts';
import { actorOf } from '../access/actor.ts';
import { anonymousCaller, type Caller } from '../access/caller.ts';
import { anonymousIdentity, claimantOf, type Identity } from '../access/identity.ts';
import { parseBasic } from '../access/login/basic.ts';
import type { Permit } from '../access/permit.ts';
import type { Blobs } from '../core/blobs.ts';
import { asRegistryError } from '../core/faults.ts';
import type { Manifests } from '../core/manifests.ts';
import type { Uploads } from '../core/uploads.ts';
import type { Actor } from '../db/changes.ts';
import type { Database } from '../db/database.ts';
import type { ClientOf } from '../http/client.ts';
import type { ConnectionLimits } from '../http/connection-limits.ts';
import { errorBody, retryHeaders, statusOf } from '../http/error-status.ts';
import { refusalOfHead } from '../http/request-head.ts';
import { RegistryError } from '../oci/errors.ts';
import { deleteBlob, getBlob } from './blobs.ts';
import { buildList } from './build-list.ts';
import { listRepositories } from './catalog.ts';
import { challengeHeaders, isChallenge, type TokenServer } from './challenge.ts';
import { Exchange, type LocationBase } from './exchange.ts';
import type { Limits } from './limits.ts';
import { deleteManifest, getManifest, putManifest } from './manifests.ts';
import type { Redirects } from './redirects.ts';
import { listReferrers } from './referrers.ts';
import { MethodNotAllowed, parseRoute, type Route, rightOf } from './routes.ts';
import { listTags } from './tags.ts';
import { deleteUpload, getUpload, patchUpload, putUpload, startUpload } from './uploads.ts';

/** The parts that the API needs. */
export interface RegistryApiParts {
  readonly database: Database;
  readonly blobs: Blobs;
  readonly uploads: Uploads;
  readonly manifests: Manifests;
  readonly access: Access;
  readonly clientOf: ClientOf;
  readonly tokenServer: TokenServer;
  /** Absent: `Location` is a path. */
  readonly locationBase?: LocationBase | undefined;
  readonly maxManifestSize: number;
  readonly deletesEnabled: boolean;
  /** Absent: Berth sends all bytes itself. */
  readonly redirects?: Redirects | undefined;
  /** Absent: no limits. */
  readonly limits?: Limits | undefined;
  /** Absent: any number of connections may be open. */
  readonly connections?: Pick<ConnectionLimits, 'refusalOf'> | undefined;
  /** Called for every answered request. */
  readonly observe: (served: Served) => void;
}

/** A request that has been answered. */
export interface Served {
  readonly exchange: Exchange;
  /** Absent when the URL names no resource. */
  readonly route: Route | undefined;
  /** The authenticated identity; after a failed login, the claimed one. */
  readonly identity: Identity;
  /** The request had credentials, and they were refused. */
  readonly loginFailed: boolean;
  readonly status: number;
  /** Milliseconds. */
  readonly duration: number;
  /** The error for the log; its `cause` is not in the answer. */
  readonly error: RegistryError | undefined;
}

/** The OCI distribution API: returns a function that answers any request below `/v2` and never rejects. */
export function registryApi(parts: RegistryApiParts) {
  return async (request: IncomingMessage, response: ServerResponse, requestId: string): Promise<void> => {
    const start = performance.now();
    const exchange = new Exchange({
      request,
      response,
      requestId,
      clientOf: parts.clientOf,
      locationBase: parts.locationBase,
    });
    let route: Route | undefined;
    let caller: Caller | undefined;
    let failure: RegistryError | undefined;
    try {
      const refusal = refusalOfHead(request) ?? parts.connections?.refusalOf(request);
      if (refusal !== undefined) throw refusal;
      parts.limits?.arrive(exchange);
      route = parseRoute(request.method as string, exchange.path);
      // Await only real promises: each await costs every pull a turn of the event loop.
      const identified = identify(parts.access, exchange);
      caller = identified instanceof Promise ? await identified : identified;
      const admitted = admit(parts.access, caller, route, route.action === 'putManifest');
      const permit = admitted instanceof Promise ? await admitted : admitted;
      if (rightOf[route.action] === 'delete' && !parts.deletesEnabled) {
        throw new RegistryError('UNSUPPORTED', 'deletes are disabled on this registry (deletes.enabled)');
      }
      if (parts.limits) await parts.limits.admit(exchange, route, caller.identity);
      await handle(parts, exchange, route, caller, permit);
    } catch (error) {
      failure = asRegistryError(error);
      if (route !== undefined && isChallenge(failure)) {
        exchange.errorHeaders = challengeHeaders(parts.tokenServer, exchange, route, failure);
      }
      replyError(exchange, failure);
    }
    const duration = performance.now() - start;
    parts.observe({
      exchange,
      route,
      identity: caller?.identity ?? claimant(exchange),
      // A request refused before authentication has no route yet.
      loginFailed: route !== undefined && caller === undefined,
      status: response.statusCode,
      duration,
      error: failure,
    });
  };
}

function identify(access: Access, exchange: Exchange): Caller | Promise<Caller> {
  const { authorization } = exchange.request.headers;
  if (authorization === undefined) return anonymousCaller;
  return access.identify(authorization, exchange.client.address);
}

/** The claimed user of wrong Basic credentials; a wrong Bearer token names none. */
function claimant({ request }: Exchange): Identity {
  const credentials = parseBasic(request.headers.authorization);
  return credentials === undefined ? anonymousIdentity : claimantOf(credentials.username);
}

/** @param early whether it is asked again when the body is here */
function admit(access: Access, caller: Caller, route: Route, early = false): Permit | Promise<Permit> {
  return 'name' in route
    ? access.authorize(caller, rightOf[route.action], route.name, early)
    : access.authorizeRegistry(caller, rightOf[route.action]);
}

function handle(
  parts: RegistryApiParts,
  exchange: Exchange,
  route: Route,
  caller: Caller,
  permit: Permit,
): Promise<void> | void {
  const { database, blobs, uploads, manifests } = parts;
  const by = (): Actor => actorOf(caller.identity, exchange.origin);
  switch (route.action) {
    case 'getManifest':
      return getManifest(manifests, exchange, route, permit);
    case 'getBlob':
      return getBlob(blobs, parts.redirects, exchange, route, permit);
    case 'startUpload':
      return startUpload(uploads, blobs, exchange, route, permit, by());
    case 'patchUpload':
      return patchUpload(uploads, exchange, route, permit);
    case 'putUpload':
      return putUpload(uploads, exchange, route, permit, by());
    case 'getUpload':
      return getUpload(uploads, exchange, route, permit);
    case 'deleteUpload':
      return deleteUpload(uploads, exchange, route, permit);
    case 'putManifest':
      return putManifest(
        manifests,
        parts.maxManifestSize,
        exchange,
        route,
        () => admit(parts.access, caller, route),
        by(),
      );
    case 'deleteManifest':
      return deleteManifest(manifests, exchange, route, by());
    case 'deleteBlob':
      return deleteBlob(blobs, exchange, route, by());
    case 'listTags':
      return buildList(exchange, (signal) => listTags(database, exchange, route, permit, signal));
    case 'listReferrers':
      return buildList(exchange, (signal) => listReferrers(database, exchange, route, permit, signal));
    case 'listRepositories':
      return buildList(exchange, (signal) => listRepositories(database, exchange, permit, signal));
    case 'getBase':
      // end-1
      return exchange.reply(200, { 'Content-Type': 'application/json' }, '{}');
  }
}

function replyError(exchange: Exchange, error: RegistryError): void {
  // After the head is sent, only a broken connection can signal an error.
  if (exchange.response.headersSent) return void exchange.response.destroy();
  exchange.reply(
    isChallenge(error) ? 401 : statusOf[error.code],
    {
      'Content-Type': 'application/json',
      ...(error instanceof MethodNotAllowed && { Allow: error.allow }),
      ...retryHeaders(error),
      ...exchange.errorHeaders,
    },
    errorBody(error),
  );
}
