import { type Digest, parseDigest } from '../oci/digest.ts';
import { RegistryError } from '../oci/errors.ts';
import { parseName, type RepositoryName } from '../oci/name.ts';
import { asTag, parseReference, type Reference } from '../oci/reference.ts';

/** What a caller needs in order to be let through a route. */
export type Right = 'base' | 'catalog' | 'pull' | 'push' | 'delete';

interface InRepository {
  readonly name: RepositoryName;
}

/**
 * One request to `/v2/`, parsed once. Authorization, handler, metrics label and log line all read this value. `head` stands
 * where GET and HEAD differ in nothing but the body.
 */
export type Route =
  | { readonly action: 'getBase'; readonly right: 'base' }
  | { readonly action: 'listRepositories'; readonly right: 'catalog' }
  | ({ readonly action: 'listTags'; readonly right: 'pull' } & InRepository)
  | ({ readonly action: 'listReferrers'; readonly right: 'pull'; readonly digest: Digest } & InRepository)
  | ({ readonly action: 'getBlob'; readonly right: 'pull'; readonly digest: Digest } & InRepository)
  | ({ readonly action: 'deleteBlob'; readonly right: 'delete'; readonly digest: Digest } & InRepository)
  | ({ readonly action: 'getManifest'; readonly right: 'pull'; readonly reference: Reference } & InRepository)
  | ({ readonly action: 'putManifest'; readonly right: 'push'; readonly reference: Reference } & InRepository)
  | ({
      readonly action: 'deleteManifest';
      readonly right: 'delete';
      readonly reference: Reference;
    } & InRepository)
  | ({ readonly action: 'startUpload'; readonly right: 'push' } & InRepository)
  | ({
      readonly action: 'getUpload' | 'patchUpload' | 'putUpload' | 'deleteUpload';
      readonly right: 'push';
      readonly id: string;
    } & InRepository);

export type Action = Route['action'];

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** The request names a resource that exists in the API, with a method that it does not have. */
export class MethodNotAllowed extends RegistryError {
  readonly allow: string;
  constructor(allow: readonly string[]) {
    super('UNSUPPORTED', `allowed here: ${allow.join(', ')}`);
    this.allow = allow.join(', ');
  }
}

/**
 * @param path the URL's path as sent: names and digests need no percent-encoding, so none is undone before the grammar is
 *   checked, and nothing can hide in it
 * @throws RegistryError `NAME_INVALID` | `DIGEST_INVALID` | `TAG_INVALID` | `NAME_UNKNOWN` (no such route), MethodNotAllowed
 */
export function parseRoute(method: string, path: string): Route {
  if (path === '/v2/' || path === '/v2') return choose(method, { GET: { action: 'getBase', right: 'base' } });
  if (path === '/v2/_catalog')
    return choose(method, { GET: { action: 'listRepositories', right: 'catalog' } });
  if (!path.startsWith('/v2/')) throw unknownRoute();
  const end = path.lastIndexOf('/');
  const start = path.lastIndexOf('/', end - 1);
  const last = path.slice(end + 1);
  const kind = path.slice(start + 1, end);
  const name = (until: number): RepositoryName =>
    parseName(path.slice('/v2/'.length, Math.max(until, '/v2/'.length)));
  switch (kind) {
    case 'manifests':
      return manifestRoute(method, name(start), last);
    case 'blobs':
      // Docker's POST ends in a slash; some clients leave it away.
      return last === 'uploads' ? startRoute(method, name(start)) : blobRoute(method, name(start), last);
    case 'uploads': {
      const blobs = path.lastIndexOf('/', start - 1);
      if (path.slice(blobs + 1, start) !== 'blobs') throw unknownRoute();
      return last === '' ? startRoute(method, name(blobs)) : uploadRoute(method, name(blobs), last);
    }
    case 'tags':
      if (last !== 'list') throw unknownRoute();
      return choose(method, { GET: { action: 'listTags', right: 'pull', name: name(start) } });
    case 'referrers':
      return choose(method, {
        GET: { action: 'listReferrers', right: 'pull', name: name(start), digest: parseDigest(decode(last)) },
      });
    default:
      throw unknownRoute();
  }
}

function manifestRoute(method: string, name: RepositoryName, last: string): Route {
  const text = decode(last);
  // A read of what cannot be a tag is a miss, a write is a mistake.
  if (isRead(method) && !text.includes(':') && asTag(text) === undefined) {
    throw new RegistryError('MANIFEST_UNKNOWN', { name });
  }
  const reference = parseReference(text);
  return choose(method, {
    GET: { action: 'getManifest', right: 'pull', name, reference },
    PUT: { action: 'putManifest', right: 'push', name, reference },
    DELETE: { action: 'deleteManifest', right: 'delete', name, reference },
  });
}

function blobRoute(method: string, name: RepositoryName, last: string): Route {
  const digest = parseDigest(decode(last));
  return choose(method, {
    GET: { action: 'getBlob', right: 'pull', name, digest },
    DELETE: { action: 'deleteBlob', right: 'delete', name, digest },
  });
}

function startRoute(method: string, name: RepositoryName): Route {
  return choose(method, { POST: { action: 'startUpload', right: 'push', name } });
}

function uploadRoute(method: string, name: RepositoryName, id: string): Route {
  if (!uuid.test(id)) throw new RegistryError('BLOB_UPLOAD_UNKNOWN');
  return choose(method, {
    GET: { action: 'getUpload', right: 'push', name, id },
    PATCH: { action: 'patchUpload', right: 'push', name, id },
    PUT: { action: 'putUpload', right: 'push', name, id },
    DELETE: { action: 'deleteUpload', right: 'push', name, id },
  });
}

function choose(method: string, routes: Partial<Record<string, Route>>): Route {
  const route = routes[method === 'HEAD' ? 'GET' : method];
  if (route === undefined || !Object.hasOwn(routes, method === 'HEAD' ? 'GET' : method)) {
    throw new MethodNotAllowed(
      Object.keys(routes).flatMap((name) => (name === 'GET' ? ['GET', 'HEAD'] : [name])),
    );
  }
  return route;
}

function isRead(method: string): boolean {
  return method === 'GET' || method === 'HEAD';
}

/** Some clients encode the colon of a digest. The result goes through a grammar that has no slash in it. */
function decode(segment: string): string {
  if (!segment.includes('%')) return segment;
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

function unknownRoute(): RegistryError {
  return new RegistryError('NAME_UNKNOWN', 'there is no such resource in the registry API');
}
