import { randomBytes } from 'node:crypto';
import http from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { median } from '../median.ts';
import type { RegistryClient } from './client.ts';
import { pool } from './pool.ts';
import { MIB, makeBigBlob, pushBigBlob, pushImage, startUpload, writeRepeated } from './push.ts';
import { pull } from './raw-http.ts';

const HELD_UPLOAD_MIB = 1024;
/** Milliseconds between two reads of a response's full buffer: some 64 KiB a second. */
const SLOW_READ_INTERVAL_MS = 1000;

export async function pushSmall(client: RegistryClient, prefix: string, images: number, concurrency: number) {
  await pushImage(client, prefix, 'warm');
  const begin = performance.now();
  await pool(images, concurrency, (index) => pushImage(client, `${prefix}/r${index % 16}`, `t${index}`));
  return { imagesPerSecond: images / secondsSince(begin) };
}

/** Pushes and pulls small images for `seconds`; returns the 99th percentiles. */
export async function timeSmall(
  client: RegistryClient,
  prefix: string,
  seconds: number,
  concurrency: number,
) {
  const pushes: number[] = [];
  const pulls: number[] = [];
  const timed = async <T>(times: number[], work: () => Promise<T>): Promise<T> => {
    const begin = performance.now();
    const result = await work();
    times.push(performance.now() - begin);
    return result;
  };
  const end = performance.now() + seconds * 1000;
  const worker = async (_: unknown, index: number) => {
    const name = `${prefix}/r${index}`;
    for (let i = 0; performance.now() < end; i += 1) {
      const pushed = await timed(pushes, () => pushImage(client, name, `t${i}`));
      await timed(pulls, () => pullImage(client, name, `t${i}`, pushed));
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  return { pushP99Ms: p99(pushes), pullP99Ms: p99(pulls) };
}

async function pullImage(
  client: RegistryClient,
  name: string,
  tag: string,
  { manifest }: { manifest: Buffer },
): Promise<void> {
  await client.request('GET', `/v2/${name}/manifests/${tag}`, { expect: 200 });
  const { config, layers } = JSON.parse(manifest.toString());
  for (const { digest } of [config, ...layers])
    await client.request('GET', `/v2/${name}/blobs/${digest}`, { expect: 200 });
}

function p99(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length * 0.99)]!;
}

export async function pushBig(client: RegistryClient, prefix: string, mib: number, streams: number) {
  const blobs = Array.from({ length: streams }, () => makeBigBlob(mib));
  const begin = performance.now();
  await Promise.all(blobs.map((blob, i) => pushBigBlob(client, `${prefix}/big${i}`, blob)));
  const seconds = secondsSince(begin);
  return {
    mibPerSecond: (mib * streams) / seconds,
    bytes: mib * streams * MIB,
    blob: `/v2/${prefix}/big0/blobs/${blobs[0]!.digest}`,
  };
}

/** Pulls in three passes; returns the median rate and the bytes of all three. */
export async function pullBig(url: URL, streams: number) {
  const rates: number[] = [];
  let bytes = 0;
  for (let pass = 0; pass < 3; pass += 1) {
    const begin = performance.now();
    const sizes = await Promise.all(Array.from({ length: streams }, () => pull(url)));
    const pulled = sizes.reduce((sum, size) => sum + size, 0);
    rates.push(pulled / MIB / secondsSince(begin));
    bytes += pulled;
  }
  return { mibPerSecond: median(rates), bytes };
}

/** Repeats pulls for as long as one push of the same size takes. */
export async function pushWhilePulling(client: RegistryClient, prefix: string, mib: number, blob: URL) {
  const pushed = makeBigBlob(mib);
  let pushing = true;
  const push = pushBigBlob(client, `${prefix}/pushed`, pushed).finally(() => {
    pushing = false;
  });
  let pulls = 0;
  while (pushing) {
    await pull(blob);
    pulls += 1;
  }
  return { pushSeconds: await push, pulls };
}

/** Keeps `count` uploads and `count` slow readers of `blob` busy for `seconds`, then cuts them all off. */
export async function hold(
  client: RegistryClient,
  prefix: string,
  blob: URL,
  count: number,
  seconds: number,
) {
  const uploads = await Promise.all(
    Array.from({ length: count }, async (_, i) => upload(await startUpload(client, `${prefix}/held${i}`))),
  );
  const readers = await Promise.all(Array.from({ length: count }, () => readSlowly(blob)));
  await delay(seconds * 1000);
  const held = { uploadsHeld: uploads.filter(isOpen).length, readersHeld: readers.filter(isOpen).length };
  for (const request of [...uploads, ...readers]) request.destroy();
  return held;
}

function upload(location: URL): http.ClientRequest {
  const request = http.request(location, {
    method: 'PATCH',
    agent: false,
    headers: { 'content-type': 'application/octet-stream' },
  });
  // A refused or failed upload is closed, so that it is not counted at the end.
  request.on('response', () => request.destroy());
  request.on('error', () => {});
  writeRepeated(request, randomBytes(MIB), HELD_UPLOAD_MIB);
  return request;
}

function readSlowly(blob: URL): Promise<http.ClientRequest> {
  const { promise, resolve, reject } = Promise.withResolvers<http.ClientRequest>();
  const request = http.get(blob, { agent: false });
  request.on('error', reject);
  request.on('response', (response) => {
    response.on('error', () => {});
    const timer = setInterval(() => response.read(), SLOW_READ_INTERVAL_MS);
    response.on('close', () => clearInterval(timer));
    resolve(request);
  });
  return promise;
}

function isOpen(request: http.ClientRequest): boolean {
  return request.socket?.destroyed === false && !request.destroyed;
}

function secondsSince(begin: number): number {
  return (performance.now() - begin) / 1000;
}
