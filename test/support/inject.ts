// A registry client over Fastify's `inject`, without sockets, for the tests of `src/v2`.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import type { Readable } from 'node:stream';
import type { TestContext } from 'node:test';
import type { FastifyInstance, InjectOptions } from 'fastify';
import { testRegistry } from './registry.ts';

export const ociManifest = 'application/vnd.oci.image.manifest.v1+json';
export const ociIndex = 'application/vnd.oci.image.index.v1+json';
export const dockerManifest = 'application/vnd.docker.distribution.manifest.v2+json';
export const dockerManifestList = 'application/vnd.docker.distribution.manifest.list.v2+json';
export const ociConfig = 'application/vnd.oci.image.config.v1+json';
export const ociLayer = 'application/vnd.oci.image.layer.v1.tar+gzip';
export const emptyJson = 'application/vnd.oci.empty.v1+json';

/** Valid digests of content that no test pushes. */
export const unknownDigest = digestOf('content that exists nowhere');
export const unknownSha512 = digestOf('content that exists nowhere', 'sha512');
/** A valid id that no session has. */
export const unknownUpload = '6f1c0a52-6f0b-4a7c-9a3e-2f1f3d5b7c99';

export type Algorithm = 'sha256' | 'sha512';
export type Headers = Record<string, string | string[]>;
export type Document = Record<string, unknown>;

export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly [field: string]: unknown;
}

export interface Answer {
  readonly status: number;
  /** Names in lower case; values of repeated headers joined by commas. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: Buffer;
  json<T = Document>(): T;
}

export interface Pushed {
  readonly digest: string;
  readonly bytes: Buffer;
  readonly mediaType: string;
}

type TestRegistryOptions = Parameters<typeof testRegistry>[1];

/** A new registry for the duration of the test, and a client of it. */
export async function connect(t: TestContext, overrides?: TestRegistryOptions): Promise<Client> {
  return new Client((await testRegistry(t, overrides)).app.http);
}

export class Client {
  readonly #http: FastifyInstance;
  readonly #always: Headers;

  constructor(http: FastifyInstance, always: Headers = {}) {
    this.#http = http;
    this.#always = always;
  }

  send(
    method: string,
    url: string,
    headers: Headers = {},
    body?: Buffer | string | Readable,
  ): Promise<Answer> {
    return this.#inject({
      method: method as 'GET',
      url,
      headers,
      ...(body === undefined ? {} : { payload: body }),
    });
  }

  /** {@link send} for routes outside `/v2`, which have other headers. */
  fetch(method: string, url: string, headers: Headers = {}): Promise<Answer> {
    return this.#answer({ method: method as 'GET', url, headers: { ...this.#always, ...headers } });
  }

  /** This client with additional headers in every request. */
  as(headers: Headers): Client {
    return new Client(this.#http, { ...this.#always, ...headers });
  }

  /** Sends a request whose connection breaks after `bytes` of its body; returns the answer that the client would not get. */
  breakOff(method: string, url: string, headers: Headers, bytes: Buffer | string): Promise<Answer> {
    const simulate = { end: false, close: true, error: false, split: false };
    return this.#inject({ method: method as 'GET', url, headers, payload: bytes, simulate });
  }

  async #inject(request: InjectOptions & { method: string; url: string }): Promise<Answer> {
    const { method, url } = request;
    const answer = await this.#answer({ ...request, headers: { ...this.#always, ...request.headers } });
    assert.equal(
      answer.headers['docker-distribution-api-version'],
      'registry/2.0',
      `${method} ${url} answered ${answer.status} without Docker-Distribution-API-Version`,
    );
    if (method === 'HEAD') assert.equal(answer.body.length, 0, `HEAD ${url} was answered with a body`);
    return answer;
  }

  async #answer(request: InjectOptions): Promise<Answer> {
    const answer = await this.#http.inject(request);
    const flat = Object.entries(answer.headers).map(([name, value]) => [name, value && String(value)]);
    const sent: Answer['headers'] = Object.fromEntries(flat);
    return {
      status: answer.statusCode,
      headers: sent,
      body: answer.rawPayload,
      json: <T>() => JSON.parse(answer.rawPayload.toString('utf8')) as T,
    };
  }

  get(url: string, headers?: Headers): Promise<Answer> {
    return this.send('GET', url, headers);
  }

  head(url: string, headers?: Headers): Promise<Answer> {
    return this.send('HEAD', url, headers);
  }

  delete(url: string): Promise<Answer> {
    return this.send('DELETE', url);
  }

  /** Opens an upload session (end-4a) and returns its location. */
  async openUpload(name: string, query = ''): Promise<string> {
    const opened = await this.send('POST', `/v2/${name}/blobs/uploads/${query}`);
    assert.equal(opened.status, 202, opened.body.toString());
    return locationOf(opened);
  }

  /** Sends a chunk (end-5), by default in order. */
  patch(location: string, bytes: Buffer | string | Readable, range?: string): Promise<Answer> {
    const headers = { 'content-type': 'application/octet-stream', ...(range && { 'content-range': range }) };
    return this.send('PATCH', location, headers, bytes);
  }

  /** Closes an upload (end-6) as clients do: adds the digest to the query of the location. */
  finish(
    location: string,
    digest: string,
    bytes?: Buffer | string | Readable,
    headers: Headers = {},
  ): Promise<Answer> {
    const type = { 'content-type': 'application/octet-stream' };
    return this.send('PUT', withQuery(location, 'digest', digest), { ...type, ...headers }, bytes);
  }

  async pushBlob(name: string, bytes: Buffer | string, algorithm: Algorithm = 'sha256'): Promise<string> {
    const digest = digestOf(bytes, algorithm);
    const answer = await this.finish(await this.openUpload(name), digest, bytes);
    assert.equal(answer.status, 201, answer.body.toString());
    return digest;
  }

  /** Pushes a blob and returns its descriptor. */
  async pushContent(
    name: string,
    bytes: Buffer | string = randomBytes(64),
    mediaType = ociLayer,
    algorithm?: Algorithm,
  ): Promise<Descriptor> {
    return describe(bytes, mediaType, await this.pushBlob(name, bytes, algorithm));
  }

  putManifest(
    name: string,
    reference: string,
    document: Document | Buffer | string,
    headers?: Headers,
  ): Promise<Answer> {
    const bytes = typeof document === 'string' || Buffer.isBuffer(document) ? document : serialize(document);
    const mediaType = headers?.['content-type'] ?? mediaTypeOf(bytes);
    return this.send(
      'PUT',
      `/v2/${name}/manifests/${reference}`,
      { ...headers, 'content-type': mediaType },
      bytes,
    );
  }

  /** Pushes a manifest, by digest if no tag is given, and asserts that it is accepted. */
  async pushManifest(
    name: string,
    document: Document,
    tag?: string,
    algorithm: Algorithm = 'sha256',
  ): Promise<Pushed> {
    const bytes = serialize(document);
    const digest = digestOf(bytes, algorithm);
    const answer = await this.putManifest(name, tag ?? digest, bytes);
    assert.equal(answer.status, 201, answer.body.toString());
    return { digest, bytes, mediaType: mediaTypeOf(bytes) };
  }

  /** Pushes a new config and layer, and returns an image of them. */
  async image(name: string, fields: Document = {}, algorithm?: Algorithm): Promise<Document> {
    const config = await this.pushContent(name, randomConfig(), ociConfig, algorithm);
    const layer = await this.pushContent(name, randomBytes(64), ociLayer, algorithm);
    return imageOf(config, [layer], fields);
  }

  async pushImage(name: string, tag?: string, fields: Document = {}): Promise<Pushed> {
    return this.pushManifest(name, await this.image(name, fields), tag);
  }

  async tags(name: string, query = ''): Promise<string[]> {
    const answer = await this.get(`/v2/${name}/tags/list${query}`);
    assert.equal(answer.status, 200, answer.body.toString());
    return answer.json<{ tags: string[] }>().tags;
  }

  async referrers(name: string, digest: string, query = ''): Promise<Descriptor[]> {
    const answer = await this.get(`/v2/${name}/referrers/${digest}${query}`);
    assert.equal(answer.status, 200, answer.body.toString());
    return answer.json<{ manifests: Descriptor[] }>().manifests;
  }

  /** Returns every page from `url` on, following `Link: <…>; rel="next"`. */
  async walk(url: string, maxPages = 1000): Promise<Answer[]> {
    const pages: Answer[] = [];
    for (let next: string | undefined = url; next !== undefined; next = nextOf(pages.at(-1)!)) {
      assert.ok(pages.length < maxPages, `${url} has more than ${maxPages} pages`);
      const page = await this.get(next);
      assert.equal(page.status, 200, page.body.toString());
      pages.push(page);
    }
    return pages;
  }
}

export function digestOf(bytes: Buffer | string, algorithm: Algorithm = 'sha256'): string {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`;
}

export function describe(bytes: Buffer | string, mediaType: string, digest = digestOf(bytes)): Descriptor {
  return { mediaType, digest, size: Buffer.byteLength(bytes) };
}

/** The descriptor of a pushed manifest. */
export function refer(manifest: Pushed, fields: Document = {}): Descriptor {
  return { ...describe(manifest.bytes, manifest.mediaType, manifest.digest), ...fields };
}

export function imageOf(config: Descriptor, layers: readonly Descriptor[], fields: Document = {}): Document {
  return { schemaVersion: 2, mediaType: ociManifest, config, layers, ...fields };
}

export function indexOf(manifests: readonly Descriptor[], fields: Document = {}): Document {
  return { schemaVersion: 2, mediaType: ociIndex, manifests, ...fields };
}

export function serialize(document: Document): Buffer {
  return Buffer.from(JSON.stringify(document));
}

export function randomConfig(): Buffer {
  return serialize({ architecture: 'amd64', os: 'linux', author: randomBytes(8).toString('hex') });
}

export function locationOf(answer: Answer): string {
  const location = answer.headers.location;
  assert.ok(location, `an answer ${answer.status} without Location`);
  return location;
}

/** Adds a parameter to a location's query, as clients do. */
export function withQuery(location: string, key: string, value: string): string {
  const url = new URL(location, 'http://localhost');
  url.searchParams.set(key, value);
  return url.pathname + url.search;
}

/** The target of `Link: <…>; rel="next"`, in the form that every client parses. */
export function nextOf(answer: Answer): string | undefined {
  const link = answer.headers.link;
  if (link === undefined) return undefined;
  const match = /^<(\/[^>\s]+)>; rel="next"$/.exec(link);
  assert.ok(match, `Link is not <path>; rel="next": ${link}`);
  return match[1];
}

/** Asserts an OCI error: its status, code, structure and media type. */
export function assertError(answer: Answer, status: number, code: string): void {
  assert.equal(
    answer.status,
    status,
    `expected ${status} ${code}, found ${answer.status} ${answer.body.toString()}`,
  );
  assert.equal(answer.headers['content-type'], 'application/json');
  const { errors } = answer.json<{ errors: { code: string; message: string }[] }>();
  assert.ok(Array.isArray(errors) && errors.length > 0, 'an error without entries');
  for (const error of errors) {
    assert.equal(error.code, code);
    assert.ok(typeof error.message === 'string' && error.message !== '', `${code} without a message`);
  }
}

function mediaTypeOf(bytes: Buffer | string): string {
  try {
    return String((JSON.parse(bytes.toString()) as { mediaType?: string }).mediaType ?? ociManifest);
  } catch {
    return ociManifest;
  }
}
