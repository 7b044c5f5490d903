import { Challenge } from '../access/challenge.ts';
import { catalogScope, neededScope } from '../access/need.ts';
import { AnotherRepository } from '../core/another-repository.ts';
import type { Headers } from '../http/answer.ts';
import { quotedString } from '../http/quoted-string.ts';
import type { HttpRequest } from '../http/request.ts';
import { asName, type RepositoryName } from '../oci/name.ts';
import { type Route, rightOf } from './routes.ts';

/** The token server whose tokens Berth accepts: its own, or a configured one in its place. */
export interface TokenServer {
  /** Its URL, for the client of the request. */
  readonly realmFor: (request: HttpRequest) => string;
  /** The name of this registry at the token server. */
  readonly service: string;
}

/** Whether the answer to the error is a 401 with a challenge, in place of its code's status. */
export function isChallenge(error: unknown): boolean {
  return error instanceof Challenge || error instanceof AnotherRepository;
}

/** The challenge: the token server, the scopes needed, and the error of the token sent (2.1; RFC 6750, 3). */
export function challengeHeaders(
  { realmFor, service }: TokenServer,
  request: HttpRequest,
  route: Route,
  error: unknown,
): Headers {
  const scopes = scopesOf(request, route);
  const fault = error instanceof Challenge ? error.fault : 'invalid_token';
  const parameters = [
    ['realm', realmFor(request)],
    ['service', service],
    ...(scopes.length > 0 ? [['scope', scopes.join(' ')]] : []),
    ...(fault ? [['error', fault]] : []),
  ].map(([name, value]) => `${name}=${quotedString(value as string)}`);
  return { 'WWW-Authenticate': `Bearer ${parameters.join(',')}`, 'Cache-Control': 'no-store' };
}

function scopesOf(request: HttpRequest, route: Route): string[] {
  if (route.action === 'getBase') return [];
  if (route.action === 'listRepositories') return [catalogScope];
  const needed = neededScope(rightOf[route.action], route.name);
  const source = route.action === 'startUpload' ? mountSource(request) : undefined;
  return source === undefined || source === route.name ? [needed] : [needed, neededScope('pull', source)];
}

function mountSource({ query }: HttpRequest): RepositoryName | undefined {
  return query.has('mount') ? asName(query.get('from') ?? '') : undefined;
}
