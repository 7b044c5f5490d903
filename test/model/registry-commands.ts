import assert from 'node:assert/strict';
import fc from 'fast-check';
import { examine } from '../faults/consistency.ts';
import { type Manifest, manifests } from './content.ts';
import { anyNamed, anyOf, command, pick } from './model.ts';

/** Walks a listing by its `Link`s, `n` at a time. */
async function walk<T>(
  url: string,
  path: string,
  n: number,
  items: (page: Response) => Promise<T[]>,
): Promise<T[]> {
  const all: T[] = [];
  const separator = path.includes('?') ? '&' : '?';
  for (let next: string | undefined = `${path}${separator}n=${n}`; next !== undefined; ) {
    const response: Response = await fetch(url + next);
    assert.equal(response.status, 200);
    // Detects repeated pages: no list has this many items.
    assert.ok(all.length < 100);
    all.push(...(await items(response)));
    next = /^<(.+)>; rel="next"$/.exec(response.headers.get('link') ?? '')?.[1];
  }
  return all;
}

const pageSize = fc.integer({ min: 1, max: 3 });

export const registryCommands = [
  command('listTags', fc.record({ name: anyOf, n: pageSize }), async (model, { url }, given) => {
    const { name, repository } = anyNamed(model, given.name);
    const path = `/v2/${name}/tags/list`;
    if (!repository.exists) return assert.equal((await fetch(url + path)).status, 404);
    const tags = await walk(
      url,
      path,
      given.n,
      async (page) => ((await page.json()) as { tags: string[] }).tags,
    );
    assert.deepEqual(tags, [...repository.tags.keys()].sort());
  }),

  command('listRepositories', pageSize, async (model, { url }, n) => {
    const names = await walk(url, '/v2/_catalog', n, async (page) => {
      return ((await page.json()) as { repositories: string[] }).repositories;
    });
    const listed = model.repositories.filter(({ manifests }) => manifests.size > 0).map(({ name }) => name);
    assert.deepEqual(names, listed.sort());
  }),

  command(
    'listReferrers',
    fc.record({ name: anyOf, subject: anyOf, filtered: fc.boolean(), n: pageSize }),
    async (model, { url }, given) => {
      const { name, repository } = anyNamed(model, given.name);
      const subject = pick(manifests, given.subject);
      const type = given.filtered ? 'application/vnd.example.signature' : undefined;
      const path = `/v2/${name}/referrers/${subject.digest}${type ? `?artifactType=${type}` : ''}`;
      const listed = await walk(url, path, given.n, async (page) => {
        return ((await page.json()) as { manifests: { digest: string; artifactType?: string }[] }).manifests;
      });
      const expected = [...repository.manifests.values()]
        .filter(
          (manifest) => manifest.subject === subject.digest && (!type || manifest.artifactType === type),
        )
        .sort((a, b) => (a.digest < b.digest ? -1 : 1));
      assert.deepEqual(
        listed.map(({ digest, artifactType }) => [digest, artifactType]),
        expected.map(({ digest, artifactType }) => [digest, artifactType]),
      );
    },
  ),

  command('examine', fc.constant(null), async (_model, { data }) => {
    assert.deepEqual(examine(data).problems, []);
  }),

  command('restart', fc.constant(null), async (model, registry) => {
    await registry.restart();
    for (const row of model.pulls) row.pulled = model.period;
    model.pulls.clear();
  }),

  command('collect garbage', fc.constant(null), async (model, registry) => {
    await registry.collectGarbage();
    for (const { blobs, manifests, trash, trashedBlobs } of [...model.repositories, ...model.deleted]) {
      keepNeeded(blobs, manifests);
      keepNeeded(trashedBlobs, trash);
    }
  }),
];

function keepNeeded(blobs: Set<string>, manifests: ReadonlyMap<string, Manifest>): void {
  const needed = new Set([...manifests.values()].flatMap(({ needs }) => needs));
  for (const digest of blobs) if (!needed.has(digest)) blobs.delete(digest);
}
