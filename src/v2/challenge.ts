import { Challenge } from '../access/challenge.ts';
import { catalogScope, scopeOf } from '../access/need.ts';
import { AnotherRepository } from '../core/another-repository.ts';
import { asName, type RepositoryName } from '../oci/name.ts';
import type { Exchange, Headers } from './exchange.ts';
import { type Route, rightOf } from './routes.ts';

/** Whose tokens are good here: Berth's own token server, or another that is trusted in its place. */
export interface TokenServer {
  /** Where it is, for the client that sent the request. */
  readonly realmFor: (exchange: Exchange) => string;
  /** What this registry is called there. */
  readonly service: string;
}

/** Whether the error is to be answered with a challenge, whatever its code is answered with elsewhere. */
export function isChallenge(error: unknown): boolean {
  return error instanceof Challenge || error instanceof AnotherRepository;
}

/** Where to get a token, for what, and why the one that came was not enough (2.1; RFC 6750, 3). */
export function challengeHeaders(
  { realmFor, service }: TokenServer,
  exchange: Exchange,
  route: Route,
  error: unknown,
): Headers {
  const scopes = scopesOf(exchange, route);
  const fault = error instanceof Challenge ? error.fault : 'invalid_token';
  const parameters = [
    ['realm', realmFor(exchange)],
    ['service', service],
    ...(scopes.length > 0 ? [['scope', scopes.join(' ')]] : []),
    ...(fault ? [['error', fault]] : []),
  ].map(([name, value]) => `${name}=${quoted(value as string)}`);
  return { 'WWW-Authenticate': `Bearer ${parameters.join(',')}`, 'Cache-Control': 'no-store' };
}

function scopesOf(exchange: Exchange, route: Route): string[] {
  if (route.action === 'getBase') return [];
  if (route.action === 'listRepositories') return [catalogScope];
  const needed = scopeOf(rightOf[route.action], route.name);
  const source = route.action === 'startUpload' ? mountSource(exchange) : undefined;
  return source === undefined || source === route.name ? [needed] : [needed, scopeOf('pull', source)];
}

function mountSource({ query }: Exchange): RepositoryName | undefined {
  return query.has('mount') ? asName(query.get('from') ?? '') : undefined;
}

/** RFC 9110, 5.6.4. What is in it may have come with the request. */
function quoted(text: string): string {
  return `"${text.replaceAll(/[^\x20-\x7e]/g, '').replaceAll(/["\\]/g, '\\$&')}"`;
}
