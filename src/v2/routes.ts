import type { Provisional } from '../access/access.ts';
import type { RegistryNeed, RepositoryNeed } from '../access/need.ts';
import { ErrorWithHeaders } from '../http/answer.ts';
import { type Digest, parseDigest } from '../oci/digest.ts';
import { RegistryError } from '../oci/errors.ts';
import { parseName, type RepositoryName } from '../oci/name.ts';
import { asTag, parseReference, type Reference } from '../oci/reference.ts';

interface InRepository {
  readonly name: RepositoryName;
  /** The name in the URL, if it is an alias of the repository. */
  readonly alias?: RepositoryName;
}

interface InSession<A> extends InRepository {
  readonly action: A;
  readonly id: string;
}

/** The path to the repository under the name that the client used, which the scope of its token has too. */
export function pathOf({ name, alias }: InRepository): string {
  return `/v2/${alias ?? name}`;
}

/**
 * One request to `/v2/`, parsed once. Authorization, handler, metrics label and log line all read this value. A HEAD has the route
 * of its GET.
 */
export type Route =
  | { readonly action: 'getBase' }
  | { readonly action: 'listRepositories' }
  | ({ readonly action: 'listTags' } & InRepository)
  | ({ readonly action: 'listReferrers'; readonly digest: Digest } & InRepository)
  | ({ readonly action: 'getBlob'; readonly digest: Digest } & InRepository)
  | ({ readonly action: 'deleteBlob'; readonly digest: Digest } & InRepository)
  | ({ readonly action: 'getManifest'; readonly reference: Reference } & InRepository)
  | ({ readonly action: 'putManifest'; readonly reference: Reference } & InRepository)
  | ({
      readonly action: 'deleteManifest';
      readonly reference: Reference;
    } & InRepository)
  | ({ readonly action: 'startUpload' } & InRepository)
  | InSession<'getUpload'>
  | InSession<'patchUpload'>
  | InSession<'putUpload'>
  | InSession<'deleteUpload'>;

export type Action = Route['action'];

export type RouteOf<A extends Action> = Extract<Route, { action: A }>;

/**
 * The right that each route needs. Two more rules apply: only the account that opened an upload session may use it (see
 * `core/uploads.ts`), and the right to set a tag is checked when the tag is locked (see `core/manifests.ts`).
 */
export const rightOf: {
  readonly [A in Action]: RouteOf<A> extends InRepository ? RepositoryNeed : RegistryNeed;
} = {
  getBase: 'base',
  listRepositories: 'catalog',
  listTags: 'pull',
  listReferrers: 'pull',
  getBlob: 'pull',
  deleteBlob: 'delete',
  getManifest: 'pull',
  putManifest: 'push',
  deleteManifest: 'delete',
  startUpload: 'create',
  getUpload: 'create',
  patchUpload: 'create',
  putUpload: 'create',
  deleteUpload: 'create',
};

/** Routes that are authorized provisionally. The reads answer 404 if no repository has the name. */
export const provisional: Partial<Record<Action, Provisional>> = {
  putManifest: 'body',
  getManifest: 'miss',
  getBlob: 'miss',
  listTags: 'miss',
};

const encodedSlash = /%2f/gi;
const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/**
 * @param path canonical, see `http/request-target.ts`. No grammar accepts the percent-encoding left in it, except for slashes in a
 *   name: some clients (Portainer) send a name as one segment
 * @throws RegistryError `NAME_INVALID` | `DIGEST_INVALID` | `TAG_INVALID` | `NAME_UNKNOWN` (no such route) |
 *   `UNSUPPORTED` (no such method of the route)
 */
export function parseRoute(method: string, path: string): Route {
  if (path === '/v2/' || path === '/v2') return choose(method, { GET: { action: 'getBase' } });
  if (path === '/v2/_catalog') return choose(method, { GET: { action: 'listRepositories' } });
  if (!path.startsWith('/v2/')) throw unknownRoute();
  const end = path.lastIndexOf('/');
  const start = path.lastIndexOf('/', end - 1);
  const last = path.slice(end + 1);
  const kind = path.slice(start + 1, end);
  const name = (until: number): RepositoryName => {
    const text = path.slice('/v2/'.length, Math.max(until, '/v2/'.length));
    return parseName(text.includes('%') ? text.replaceAll(encodedSlash, '/') : text);
  };
  switch (kind) {
    case 'manifests':
      return manifestRoute(method, name(start), last);
    case 'blobs':
      // Docker's POST ends in a slash; some clients omit it.
      return last === 'uploads' ? startRoute(method, name(start)) : blobRoute(method, name(start), last);
    case 'uploads': {
      const blobs = path.lastIndexOf('/', start - 1);
      if (path.slice(blobs + 1, start) !== 'blobs') throw unknownRoute();
      return last === '' ? startRoute(method, name(blobs)) : uploadRoute(method, name(blobs), last);
    }
    case 'tags':
      if (last !== 'list') throw unknownRoute();
      return choose(method, { GET: { action: 'listTags', name: name(start) } });
    case 'referrers':
      return choose(method, {
        GET: { action: 'listReferrers', name: name(start), digest: parseDigest(last) },
      });
    default:
      // Some clients end every path with a slash.
      if (last === '' && kind !== '') return parseRoute(method, path.slice(0, end));
      throw unknownRoute();
  }
}

function manifestRoute(method: string, name: RepositoryName, text: string): Route {
  // A read of an invalid tag is a 404, a write is a 400.
  if (isRead(method) && !text.includes(':') && asTag(text) === undefined) {
    throw new RegistryError('MANIFEST_UNKNOWN', { name });
  }
  const reference = parseReference(text);
  return choose(method, {
    GET: { action: 'getManifest', name, reference },
    PUT: { action: 'putManifest', name, reference },
    DELETE: { action: 'deleteManifest', name, reference },
  });
}

function blobRoute(method: string, name: RepositoryName, last: string): Route {
  const digest = parseDigest(last);
  return choose(method, {
    GET: { action: 'getBlob', name, digest },
    DELETE: { action: 'deleteBlob', name, digest },
  });
}

function startRoute(method: string, name: RepositoryName): Route {
  return choose(method, { POST: { action: 'startUpload', name } });
}

function uploadRoute(method: string, name: RepositoryName, id: string): Route {
  if (!uuid.test(id)) throw new RegistryError('BLOB_UPLOAD_UNKNOWN');
  return choose(method, {
    GET: { action: 'getUpload', name, id },
    PATCH: { action: 'patchUpload', name, id },
    PUT: { action: 'putUpload', name, id },
    DELETE: { action: 'deleteUpload', name, id },
  });
}

function choose(method: string, routes: Partial<Record<string, Route>>): Route {
  const route = routes[method === 'HEAD' ? 'GET' : method];
  if (route === undefined || !Object.hasOwn(routes, method === 'HEAD' ? 'GET' : method)) {
    const allowed = Object.keys(routes).flatMap((name) => (name === 'GET' ? ['GET', 'HEAD'] : [name]));
    const methods = allowed.join(', ');
    throw new ErrorWithHeaders('UNSUPPORTED', `allowed methods: ${methods}`, { Allow: methods });
  }
  return route;
}

function isRead(method: string): boolean {
  return method === 'GET' || method === 'HEAD';
}

function unknownRoute(): RegistryError {
  return new RegistryError('NAME_UNKNOWN', 'no such resource in the registry API');
}
