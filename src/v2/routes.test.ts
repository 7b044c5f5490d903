import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { anyText } from '../../test/support/any-text.ts';
import {
  unknownDigest as digest,
  unknownUpload as id,
  unknownSha512 as sha512,
} from '../../test/support/inject.ts';
import { ErrorWithHeaders } from '../http/answer.ts';
import { RegistryError } from '../oci/errors.ts';
import { parseRoute, type Route, rightOf } from './routes.ts';

const methods = [
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'PATCH',
  'DELETE',
  'OPTIONS',
  'get',
  '',
  '__proto__',
  'toString',
];

interface Resource {
  readonly path: (name: string) => string;
  /** The action of each method; HEAD is that of GET. */
  readonly routes: Readonly<Record<string, Route['action']>>;
  readonly fields?: Readonly<Record<string, unknown>>;
}

const inRepository: readonly Resource[] = [
  {
    path: (name) => `/v2/${name}/manifests/latest`,
    routes: {
      GET: 'getManifest',
      PUT: 'putManifest',
      DELETE: 'deleteManifest',
    },
    fields: { reference: { kind: 'tag', tag: 'latest' } },
  },
  {
    path: (name) => `/v2/${name}/manifests/${sha512}`,
    routes: {
      GET: 'getManifest',
      PUT: 'putManifest',
      DELETE: 'deleteManifest',
    },
    fields: { reference: { kind: 'digest', digest: sha512 } },
  },
  {
    path: (name) => `/v2/${name}/blobs/${digest}`,
    routes: { GET: 'getBlob', DELETE: 'deleteBlob' },
    fields: { digest },
  },
  { path: (name) => `/v2/${name}/blobs/uploads/`, routes: { POST: 'startUpload' } },
  { path: (name) => `/v2/${name}/blobs/uploads`, routes: { POST: 'startUpload' } },
  {
    path: (name) => `/v2/${name}/blobs/uploads/${id}`,
    routes: {
      GET: 'getUpload',
      PATCH: 'patchUpload',
      PUT: 'putUpload',
      DELETE: 'deleteUpload',
    },
    fields: { id },
  },
  { path: (name) => `/v2/${name}/tags/list`, routes: { GET: 'listTags' } },
  {
    path: (name) => `/v2/${name}/referrers/${digest}`,
    routes: { GET: 'listReferrers' },
    fields: { digest },
  },
];
const others: readonly Resource[] = [
  { path: () => '/v2/', routes: { GET: 'getBase' } },
  { path: () => '/v2', routes: { GET: 'getBase' } },
  { path: () => '/v2/_catalog', routes: { GET: 'listRepositories' } },
];

/** Names that look like a part of a route or like a whole route. */
const names = [
  'a',
  'library/app',
  'manifests',
  'blobs',
  'uploads',
  'blobs/uploads',
  'tags/list',
  'referrers',
  'v2',
  'a/manifests',
  'a/manifests/latest',
  'a/blobs/uploads',
  'a/uploads/blobs',
  'a/tags/list/tags',
  'manifests/manifests',
  'a'.repeat(255),
];

for (const method of methods) {
  test(`${method || 'no method'}: every resource has its actions, under every name`, () => {
    for (const { path, routes, fields } of [...inRepository, ...others]) {
      for (const name of names) {
        const url = path(name);
        const wanted = Object.hasOwn(routes, method === 'HEAD' ? 'GET' : method)
          ? routes[method === 'HEAD' ? 'GET' : method]
          : undefined;
        if (wanted) {
          const named = url.includes(name) && url !== path('') ? { name } : {};
          assert.deepEqual(parseRoute(method, url), { action: wanted, ...named, ...fields }, url);
        } else {
          assert.throws(
            () => parseRoute(method, url),
            (error) =>
              error instanceof ErrorWithHeaders &&
              error.code === 'UNSUPPORTED' &&
              `${error.headers.Allow}`
                .split(', ')
                .filter((allowed) => allowed !== 'HEAD')
                .join() === Object.keys(routes).join(),
            `${method} ${url}`,
          );
        }
      }
    }
  });
}

for (const name of names) {
  test(`${name.slice(0, 40)}: a slash at the end changes nothing, and slashes of a name may be encoded`, () => {
    for (const { path, routes } of [...inRepository, ...others]) {
      const encoded = path(name.replaceAll('/', '%2F').replace('%2F', '%2f'));
      for (const method of Object.keys(routes)) {
        const route = parseRoute(method, path(name));
        assert.deepEqual(parseRoute(method, encoded), route, encoded);
        assert.deepEqual(parseRoute(method, `${path(name).replace(/\/$/, '')}/`), route, path(name));
      }
    }
  });
}

const refused: [string, string, string][] = [
  // C1: encodings are decoded, and no path leads outside.
  ['GET', '/v2/..%2f..%2fetc/manifests/latest', 'NAME_INVALID'],
  ['GET', '/v2/../../etc/manifests/latest', 'NAME_INVALID'],
  ['GET', '/v2/a/%2e%2e/b/manifests/latest', 'NAME_INVALID'],
  ['GET', '/v2/a%00b/manifests/latest', 'NAME_INVALID'],
  ['GET', '/v2/a%2f/manifests/latest', 'NAME_INVALID'],
  ['GET', '/v2/a%252fb/manifests/latest', 'NAME_INVALID'],
  ['GET', '/v2/a//b/manifests/latest', 'NAME_INVALID'],
  ['GET', '/v2/a\\b/manifests/latest', 'NAME_INVALID'],
  ['GET', '/v2/%61/manifests/latest', 'NAME_INVALID'],
  ['GET', '/v2/./manifests/latest', 'NAME_INVALID'],
  ['GET', '/v2//manifests/latest', 'NAME_INVALID'],
  ['GET', '/v2/manifests/latest', 'NAME_INVALID'],
  ['GET', `/v2/blobs/${digest}`, 'NAME_INVALID'],
  ['POST', '/v2/blobs/uploads/', 'NAME_INVALID'],
  ['PUT', `/v2/blobs/uploads/${id}`, 'NAME_INVALID'],
  ['GET', '/v2/tags/list', 'NAME_INVALID'],
  ['GET', '/v2/_uploads/manifests/latest', 'NAME_INVALID'],
  ['GET', `/v2/${'a'.repeat(256)}/manifests/latest`, 'NAME_INVALID'],
  // C2: every digest is validated.
  ['GET', '/v2/a/blobs/sha256:..%2f..%2fx', 'DIGEST_INVALID'],
  ['GET', `/v2/a/blobs/${digest}0`, 'DIGEST_INVALID'],
  ['GET', `/v2/a/blobs/${digest.toUpperCase()}`, 'DIGEST_INVALID'],
  ['GET', `/v2/a/blobs/${digest}%2f..`, 'DIGEST_INVALID'],
  ['GET', '/v2/a/blobs/', 'DIGEST_INVALID'],
  ['DELETE', '/v2/a/blobs/latest', 'DIGEST_INVALID'],
  ['GET', '/v2/a/manifests/md5:d41d8cd98f00b204e9800998ecf8427e', 'DIGEST_INVALID'],
  ['GET', '/v2/a/referrers/latest', 'DIGEST_INVALID'],
  // A write to an invalid tag is a 400, a read is a 404.
  ['PUT', '/v2/a/manifests/.a', 'TAG_INVALID'],
  ['DELETE', '/v2/a/manifests/a%2fb', 'TAG_INVALID'],
  ['PUT', '/v2/a/manifests/%zz', 'TAG_INVALID'],
  ['PUT', '/v2/a/manifests/', 'TAG_INVALID'],
  ['GET', '/v2/a/manifests/.a', 'MANIFEST_UNKNOWN'],
  ['HEAD', '/v2/a/manifests/..%2f..%2fetc', 'MANIFEST_UNKNOWN'],
  // C3: an upload id must have the form that Berth issues.
  ['GET', '/v2/a/blobs/uploads/..%2f..%2fx', 'BLOB_UPLOAD_UNKNOWN'],
  ['PATCH', `/v2/a/blobs/uploads/{${id}}`, 'BLOB_UPLOAD_UNKNOWN'],
  ['PUT', `/v2/a/blobs/uploads/urn:uuid:${id}`, 'BLOB_UPLOAD_UNKNOWN'],
  ['PUT', `/v2/a/blobs/uploads/${id.toUpperCase()}`, 'BLOB_UPLOAD_UNKNOWN'],
  ['PUT', `/v2/a/blobs/uploads/${id.replaceAll('-', '')}`, 'BLOB_UPLOAD_UNKNOWN'],
  ['DELETE', '/v2/a/blobs/uploads/.', 'BLOB_UPLOAD_UNKNOWN'],
  // No such resource.
  ['GET', '/v2/a', 'NAME_UNKNOWN'],
  ['GET', '/v2/a/', 'NAME_UNKNOWN'],
  ['GET', '/v2//', 'NAME_UNKNOWN'],
  ['GET', '/v2/_catalog//', 'NAME_UNKNOWN'],
  ['GET', '/v2/a/tags', 'NAME_UNKNOWN'],
  ['GET', '/v2/a/tags/latest', 'NAME_UNKNOWN'],
  ['GET', '/v2/a/tags/list//', 'NAME_UNKNOWN'],
  ['GET', `/v2/a${'/'.repeat(16_000)}`, 'NAME_UNKNOWN'],
  ['GET', `/v2/a/uploads/${id}`, 'NAME_UNKNOWN'],
  ['GET', '/v2/a%2Fmanifests%2Flatest', 'NAME_UNKNOWN'],
  ['GET', '/v2/a%2fmanifests/latest', 'NAME_UNKNOWN'],
  ['GET', '/v1/a/manifests/latest', 'NAME_UNKNOWN'],
  ['GET', '/V2/a/manifests/latest', 'NAME_UNKNOWN'],
  ['GET', '/v2a/manifests/latest', 'NAME_UNKNOWN'],
  ['GET', 'http://host/v2/a/manifests/latest', 'NAME_UNKNOWN'],
  ['GET', '', 'NAME_UNKNOWN'],
];

for (const [method, path, code] of refused) {
  test(`${method} ${path.slice(0, 60)} is ${code}`, () => {
    assert.throws(() => parseRoute(method, path), { code });
  });
}

test('any method and path give a route or a RegistryError, fast', () => {
  const segment = fc.constantFrom(
    ...[
      'v2',
      'a',
      'A',
      '',
      '.',
      '..',
      '%2f',
      '%',
      '_catalog',
      'manifests',
      'blobs',
      'uploads',
      'tags',
      'list',
    ],
    ...[
      'referrers',
      'latest',
      digest,
      sha512,
      id,
      digest.replace(':', '%3A'),
      'a'.repeat(300),
      'a-'.repeat(8_000),
    ],
  );
  const near = fc.array(segment, { maxLength: 9 }).map((segments) => `/v2/${segments.join('/')}`);
  const any = fc.oneof(
    near,
    anyText().map((text) => `/v2/${text}`),
    fc.string(),
  );
  fc.assert(
    fc.property(fc.oneof(fc.constantFrom(...methods), fc.string()), any, (method, path) => {
      const start = performance.now();
      try {
        const route = parseRoute(method, path);
        assert.ok(rightOf[route.action]);
        if ('name' in route) assert.ok(path.replaceAll('%2f', '/').startsWith(`/v2/${route.name}/`));
      } catch (error) {
        assert.ok(error instanceof RegistryError, `${method} ${path}: ${error}`);
        assert.notEqual(error.code, 'UNKNOWN');
      }
      const elapsed = performance.now() - start;
      // Repeat a slow one: it may have been a pause of the process.
      if (elapsed >= 5)
        assert.ok(secondTime(method, path) < 5, `${elapsed} ms for ${method} ${path.slice(0, 80)}`);
    }),
    { numRuns: 5_000 },
  );
});

function secondTime(method: string, path: string): number {
  const start = performance.now();
  try {
    parseRoute(method, path);
  } catch {
    // Only the time matters.
  }
  return performance.now() - start;
}
