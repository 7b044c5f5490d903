import { createHash, randomBytes } from 'node:crypto';
import type { ClientRequest } from 'node:http';
import type { RegistryClient } from './client.ts';

export const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json';
const CONFIG_TYPE = 'application/vnd.oci.image.config.v1+json';
const LAYER_TYPE = 'application/vnd.oci.image.layer.v1.tar';
const OCTETS = { 'content-type': 'application/octet-stream' };
export const MIB = 1024 * 1024;

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

export interface PushedImage {
  readonly manifest: Buffer;
  readonly digest: string;
  readonly config: Descriptor;
}

export function sha256(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** Pushes with POST and one PUT, as clients push small blobs. */
async function pushBlob(
  client: RegistryClient,
  name: string,
  bytes: Buffer,
  mediaType: string,
): Promise<Descriptor> {
  const digest = sha256(bytes);
  const upload = await startUpload(client, name);
  upload.searchParams.set('digest', digest);
  const headers = { ...OCTETS, 'content-length': bytes.length };
  await client.request('PUT', upload, { headers, body: bytes, expect: 201 });
  return { mediaType, digest, size: bytes.length };
}

/** Pushes a new image: a config of 1 KiB and layers of 4 KiB and 64 KiB, all at once, then the manifest. */
export async function pushImage(client: RegistryClient, name: string, tag: string): Promise<PushedImage> {
  const content = { architecture: 'amd64', os: 'linux', rootfs: { type: 'layers', diff_ids: [] } };
  const config = Buffer.from(JSON.stringify({ ...content, x: randomBytes(480).toString('hex') }));
  const [configDescriptor, ...layers] = await Promise.all([
    pushBlob(client, name, config, CONFIG_TYPE),
    pushBlob(client, name, randomBytes(4096), LAYER_TYPE),
    pushBlob(client, name, randomBytes(65536), LAYER_TYPE),
  ]);
  const manifest = manifestOf(configDescriptor, layers);
  await putManifest(client, name, tag, manifest);
  return { manifest, digest: sha256(manifest), config: configDescriptor };
}

export function manifestOf(
  config: Descriptor,
  layers: readonly Descriptor[],
  annotations?: Record<string, string>,
): Buffer {
  return Buffer.from(
    JSON.stringify({ schemaVersion: 2, mediaType: MANIFEST_TYPE, config, layers, annotations }),
  );
}

/** `reference` may carry a query: `<digest>?tag=a&tag=b`. */
export async function putManifest(
  client: RegistryClient,
  name: string,
  reference: string,
  manifest: Buffer,
): Promise<void> {
  const headers = { 'content-type': MANIFEST_TYPE, 'content-length': manifest.length };
  await client.request('PUT', `/v2/${name}/manifests/${reference}`, { headers, body: manifest, expect: 201 });
}

/** One random MiB, repeated. */
export interface BigBlob {
  readonly chunk: Buffer;
  readonly mib: number;
  readonly digest: string;
}

/** Hashes before the clock starts, because hashing a GiB takes as long as sending it. */
export function makeBigBlob(mib: number): BigBlob {
  const chunk = randomBytes(MIB);
  const hash = createHash('sha256');
  for (let made = 0; made < mib; made += 1) hash.update(chunk);
  return { chunk, mib, digest: `sha256:${hash.digest('hex')}` };
}

/** Pushes with POST, one streamed PATCH and PUT, as docker pushes a layer; returns the seconds that this took. */
export async function pushBigBlob(
  client: RegistryClient,
  name: string,
  { chunk, mib, digest }: BigBlob,
): Promise<number> {
  const begin = performance.now();
  const upload = await startUpload(client, name);
  const body = (request: ClientRequest) => writeRepeated(request, chunk, mib);
  const patched = await client.request('PATCH', upload, { headers: OCTETS, body, expect: 202 });
  const finish = client.resolve(patched.headers.location ?? String(upload));
  finish.searchParams.set('digest', digest);
  await client.request('PUT', finish, { headers: { 'content-length': 0 }, expect: 201 });
  return (performance.now() - begin) / 1000;
}

export async function startUpload(client: RegistryClient, name: string): Promise<URL> {
  const headers = { 'content-length': 0 };
  const reply = await client.request('POST', `/v2/${name}/blobs/uploads/`, { headers, expect: 202 });
  return client.resolve(reply.headers.location ?? '');
}

/** Writes `chunk` again and again, `times` in all, no faster than the socket accepts it, then ends the request. */
export function writeRepeated(request: ClientRequest, chunk: Buffer, times: number): void {
  let written = 0;
  const fill = () => {
    while (written < times) {
      written += 1;
      if (!request.write(chunk)) return request.once('drain', fill);
    }
    return request.end();
  };
  fill();
}
