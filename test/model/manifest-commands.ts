import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type Manifest, manifests, tags } from './content.ts';
import { anyOf, command, pick, type Repository } from './model.ts';

/** A tag, or the digest of a manifest. */
const reference = fc.oneof(
  fc.constantFrom(...tags),
  fc.constantFrom(...manifests.map(({ digest }) => digest)),
);

function find(repository: Repository, reference: string): Manifest | undefined {
  return repository.tags.get(reference) ?? repository.manifests.get(reference);
}

/** The manifest, its children and their referrers, as far as the trash has them. */
function trashedParts({ trash }: Repository, digest: string): Set<string> {
  const parts = new Set<string>();
  for (const open = [digest]; open.length > 0; ) {
    const next = open.pop() as string;
    const manifest = trash.get(next);
    if (manifest === undefined || parts.has(next)) continue;
    parts.add(next);
    open.push(...manifest.children);
    for (const other of trash.values()) if (other.subject === next) open.push(other.digest);
  }
  return parts;
}

async function assertUnknown(response: Response, repository: Repository): Promise<void> {
  assert.equal(response.status, 404);
  const { errors } = (await response.json()) as { errors: { code: string }[] };
  assert.equal(errors[0]?.code, repository.exists ? 'MANIFEST_UNKNOWN' : 'NAME_UNKNOWN');
}

export const manifestCommands = [
  command(
    'putManifest',
    fc.record({
      name: anyOf,
      manifest: anyOf,
      byTag: fc.boolean(),
      tags: fc.uniqueArray(fc.constantFrom(...tags)),
    }),
    async (model, { url }, given) => {
      const repository = pick(model.repositories, given.name);
      const manifest = pick(manifests, given.manifest);
      const { digest, mediaType, bytes: body, subject } = manifest;
      const byTag = given.byTag && given.tags.length > 0;
      const moved = byTag ? given.tags.slice(0, 1) : given.tags;
      const query = new URLSearchParams(byTag ? [] : moved.map((tag) => ['tag', tag]));
      const path = `/v2/${repository.name}/manifests/${byTag ? moved[0] : digest}?${query}`;
      const response = await fetch(url + path, {
        method: 'PUT',
        headers: { 'content-type': mediaType },
        body,
      });
      if (!manifest.needs.every((blob) => repository.blobs.has(blob)))
        return assert.equal(response.status, 400);
      assert.equal(response.status, 201);
      assert.equal(response.headers.get('docker-content-digest'), digest);
      assert.equal(response.headers.get('oci-subject'), subject ?? null);
      repository.exists = true;
      repository.manifests.set(digest, manifest);
      for (const tag of moved) repository.tags.set(tag, manifest);
    },
  ),

  command('getManifest', fc.record({ name: anyOf, reference }), async (model, { url }, given) => {
    const repository = pick(model.repositories, given.name);
    const manifest = find(repository, given.reference);
    const path = `${url}/v2/${repository.name}/manifests/${given.reference}`;
    const head = await fetch(path, { method: 'HEAD' });
    assert.equal(head.status, manifest ? 200 : 404);
    const response = await fetch(path);
    if (manifest === undefined) return assertUnknown(response, repository);
    for (const { headers } of [head, response]) {
      assert.equal(headers.get('docker-content-digest'), manifest.digest);
      assert.equal(headers.get('content-type'), manifest.mediaType);
      assert.equal(headers.get('content-length'), String(manifest.bytes.length));
    }
    assert.ok(manifest.bytes.equals(await response.bytes()));
  }),

  command('deleteManifest', fc.record({ name: anyOf, reference }), async (model, { url }, given) => {
    const repository = pick(model.repositories, given.name);
    const manifest = find(repository, given.reference);
    const path = `/v2/${repository.name}/manifests/${given.reference}`;
    const response = await fetch(url + path, { method: 'DELETE' });
    if (manifest === undefined) return assertUnknown(response, repository);
    assert.equal(response.status, 202);
    if (repository.tags.delete(given.reference)) return;
    repository.manifests.delete(manifest.digest);
    repository.trash.set(manifest.digest, manifest);
    const deleted = repository.trashedTags.get(manifest.digest) ?? new Set();
    repository.trashedTags.set(manifest.digest, deleted);
    for (const [tag, at] of repository.tags) {
      if (at === manifest && repository.tags.delete(tag)) deleted.add(tag);
    }
  }),

  command('restoreManifest', fc.record({ name: anyOf, manifest: anyOf }), async (model, registry, given) => {
    const repository = pick(model.repositories, given.name);
    const { digest } = pick(manifests, given.manifest);
    const { trash, trashedTags, tags } = repository;
    const restored = trashedParts(repository, digest);
    const owners = [...new Set([digest, ...restored])].filter((each) => trashedTags.get(each)?.size);
    const result = await registry.restore(repository.name, digest);
    if (restored.size + owners.length === 0) return assert.equal(result, undefined);
    assert.ok(result);
    assert.equal(result.manifests, restored.size);
    for (const each of restored) {
      const manifest = trash.get(each) as Manifest;
      trash.delete(each);
      repository.manifests.set(each, manifest);
      for (const blob of manifest.needs) repository.blobs.add(blob);
    }
    const expected = new Set<string>();
    for (const owner of owners) {
      for (const tag of trashedTags.get(owner) as Set<string>) {
        const manifest = repository.manifests.get(owner);
        if (manifest === undefined || (tags.has(tag) && !expected.has(tag))) continue;
        expected.add(tag);
        // Two of the manifests may have had the tag at different times; one of them gets it.
        const path = `${registry.url}/v2/${repository.name}/manifests/${tag}`;
        const at = (await fetch(path, { method: 'HEAD' })).headers.get('docker-content-digest');
        if (at !== owner) continue;
        tags.set(tag, manifest);
        trashedTags.get(owner)?.delete(tag);
      }
    }
    assert.deepEqual([...result.tags].sort(), [...expected].sort());
  }),

  command('emptyTrash', fc.constant(null), async (model, registry) => {
    await registry.emptyTrash();
    for (const { trash, trashedTags } of model.repositories) {
      trash.clear();
      trashedTags.clear();
    }
  }),

  command(
    'moveTagIfMatch',
    fc.record({ name: anyOf, manifest: anyOf, expected: anyOf }),
    async (model, { url }, given) => {
      const repository = pick(model.repositories, given.name);
      const manifest = pick(manifests, given.manifest);
      const expected = pick(manifests, given.expected);
      if (!manifest.needs.every((blob) => repository.blobs.has(blob))) return;
      const [tag] = tags;
      const headers = { 'content-type': manifest.mediaType, 'if-match': `"${expected.digest}"` };
      const path = `/v2/${repository.name}/manifests/${tag}`;
      const response = await fetch(url + path, { method: 'PUT', headers, body: manifest.bytes });
      if (repository.tags.get(tag) !== expected) return assert.equal(response.status, 412);
      assert.equal(response.status, 201);
      repository.manifests.set(manifest.digest, manifest);
      repository.tags.set(tag, manifest);
    },
  ),
];
