// Requests under a former name of a repository.
import type { Alias } from '../access/permit.ts';
import type { Route } from './routes.ts';

/** The route to the repository of the alias; it keeps the name that the client used, for the URLs of the answer. */
export function routeThrough(route: Route, alias: Alias | undefined): Route {
  if (alias === undefined || !('name' in route)) return route;
  return { ...route, name: alias.name, alias: route.name };
}

/** The warnings of an answer to a request that used `asked`. The caller may pull the repository, so its name is no secret. */
export function aliasWarnings(asked: string, alias: Alias | undefined): readonly string[] {
  if (alias === undefined) return [];
  const day = new Date(alias.until).toISOString().slice(0, 10);
  return [
    `repository ${asked} was renamed to ${alias.name}; use the new name, the old one works until ${day}`,
  ];
}
