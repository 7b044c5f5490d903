import { median } from '../median.ts';
import type { RegistryClient } from './client.ts';
import { pool } from './pool.ts';
import { manifestOf, pushImage, putManifest, sha256 } from './push.ts';

const PAGE = 100;
const WRITERS = 16;
const SAMPLES = 101;
const SAMPLING_LIMIT_MS = 2000;

/** Tags t0000000 … of one manifest, `perRequest` of them with each PUT. */
export async function seedTags(client: RegistryClient, name: string, count: number, perRequest: number) {
  const { manifest } = await pushImage(client, name, 'base');
  const digest = sha256(manifest);
  const begin = performance.now();
  await pool(Math.ceil(count / perRequest), WRITERS, (request) => {
    const first = request * perRequest;
    const tags = Array.from(
      { length: Math.min(perRequest, count - first) },
      (_, i) => `t${sevenDigits(first + i)}`,
    );
    const reference = perRequest === 1 ? tags[0]! : `${digest}?${tags.map((tag) => `tag=${tag}`).join('&')}`;
    return putManifest(client, name, reference, manifest);
  });
  return { tagsPerSecond: perSecond(count, begin) };
}

export async function timeTagLists(client: RegistryClient, name: string, count: number) {
  const list = `/v2/${name}/tags/list`;
  const pages = await timePages(client, list, 't', count);
  return { ...pages, allMs: await medianMs(() => walkTags(client, list, count + 1)) };
}

/** Times pages of a list of `prefix` and numbers 0000000 to `count`: the first, one from the middle, and half a page at the end. */
export async function timePages(client: RegistryClient, list: string, prefix: string, count: number) {
  const page = (last: string) => getList(client, `${list}?n=${PAGE}${last}`);
  const after = (index: number) => page(`&last=${prefix}${sevenDigits(index)}`);
  return {
    firstPageMs: await medianMs(() => page('')),
    middlePageMs: await medianMs(() => after(Math.floor(count / 2))),
    latePageMs: await medianMs(() => after(count - PAGE / 2)),
  };
}

/** Repositories r0000000 …, each with one manifest whose blob is mounted from the first. */
export async function seedRepositories(client: RegistryClient, prefix: string, count: number) {
  const origin = `${prefix}/origin`;
  const { config } = await pushImage(client, origin, 'base');
  const manifest = manifestOf(config, [config]);
  const begin = performance.now();
  await pool(count, WRITERS, async (index) => {
    const name = `${prefix}/r${sevenDigits(index)}`;
    const mount = `/v2/${name}/blobs/uploads/?mount=${config.digest}&from=${origin}`;
    await client.request('POST', mount, { headers: { 'content-length': 0 }, expect: 201 });
    await putManifest(client, name, 'latest', manifest);
  });
  return { repositoriesPerSecond: perSecond(count, begin) };
}

/** `count` different manifests of one repository, put by digest. */
export async function seedManifests(client: RegistryClient, name: string, count: number) {
  const { config } = await pushImage(client, name, 'base');
  const begin = performance.now();
  await pool(count, WRITERS, (index) => {
    const manifest = manifestOf(config, [config], { number: String(index) });
    return putManifest(client, name, sha256(manifest), manifest);
  });
  return { manifestsPerSecond: perSecond(count, begin) };
}

/** Follows `Link` to the end, as a registry may page a list without being asked. */
async function walkTags(client: RegistryClient, list: string, expected: number): Promise<void> {
  let next: string | undefined = list;
  let found = 0;
  while (next !== undefined) {
    const reply = await getList(client, next);
    found += (JSON.parse(reply.body.toString()) as { tags: string[] }).tags.length;
    next = /<([^>]+)>/.exec(String(reply.headers.link ?? ''))?.[1];
  }
  if (found !== expected) throw new Error(`${list}: ${found} tags, not ${expected}`);
}

function getList(client: RegistryClient, location: string) {
  return client.request('GET', location, { expect: 200 });
}

/** The first call only warms up the connection and both programs. */
async function medianMs(work: () => Promise<unknown>): Promise<number> {
  const limit = performance.now() + SAMPLING_LIMIT_MS;
  const samples: number[] = [];
  await work();
  while (samples.length < 1 || (samples.length < SAMPLES && performance.now() < limit)) {
    const begin = performance.now();
    await work();
    samples.push(performance.now() - begin);
  }
  return median(samples);
}

function sevenDigits(index: number): string {
  return String(index).padStart(7, '0');
}

function perSecond(count: number, begin: number): number {
  return count / ((performance.now() - begin) / 1000);
}
