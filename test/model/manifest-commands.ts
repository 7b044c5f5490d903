import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Refused } from '../../src/access/refused.ts';
import { emptyTrashOf, restoreFromTrash } from '../../src/administration/trash.ts';
import { noQuotas } from '../../src/core/quotas.ts';
import { pushBlob } from './blob-commands.ts';
import { blobs, type Manifest, manifests, tags } from './content.ts';
import { anyNamed, anyOf, command, create, type Model, pick, type Repository, type Row } from './model.ts';
import { fitsRepository, fitsTags } from './quotas.ts';

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

/** The repository has the manifest, and these tags point to it. */
export function pushed(
  model: Model,
  repository: Repository,
  manifest: Manifest,
  moved: readonly string[],
): void {
  const { digest } = manifest;
  create(model, repository);
  repository.manifests.set(digest, manifest);
  if (!repository.rows.has(digest)) repository.rows.set(digest, { pushed: model.period, pulled: -1 });
  model.pushes += 1;
  for (const tag of moved) pointTag(model, repository, tag, manifest);
}

function pointTag(model: Model, repository: Repository, tag: string, manifest: Manifest): void {
  const before = repository.tags.get(tag);
  if (before !== undefined && before !== manifest) repository.left.set(before.digest, model.period);
  repository.tags.set(tag, manifest);
  repository.pushes.set(tag, model.pushes);
}

export function untag(model: Model, repository: Repository, tag: string): void {
  const { digest } = repository.tags.get(tag) as Manifest;
  repository.tags.delete(tag);
  repository.left.set(digest, model.period);
}

/** Deletes a manifest into the trash, with its tags. */
export function trashManifest(model: Model, repository: Repository, manifest: Manifest): void {
  const { digest } = manifest;
  repository.manifests.delete(digest);
  repository.trash.set(digest, manifest);
  repository.trashedRows.set(digest, repository.rows.get(digest) as Row);
  repository.rows.delete(digest);
  for (const blob of manifest.needs) repository.trashedBlobs.add(blob);
  const deleted = repository.trashedTags.get(digest) ?? new Set();
  repository.trashedTags.set(digest, deleted);
  for (const [tag, at] of repository.tags) {
    if (at !== manifest) continue;
    untag(model, repository, tag);
    deleted.add(tag);
  }
}

export const manifestCommands = [
  command(
    'putManifest',
    fc.record({
      name: anyOf,
      manifest: anyOf,
      byTag: fc.boolean(),
      withBlobs: fc.boolean(),
      tags: fc.uniqueArray(fc.constantFrom(...tags)),
    }),
    async (model, { url }, given) => {
      const { name, repository } = anyNamed(model, given.name);
      const manifest = pick(manifests, given.manifest);
      const { digest, mediaType, bytes: body, subject } = manifest;
      const missing = given.withBlobs ? manifest.needs.filter((blob) => !repository.blobs.has(blob)) : [];
      for (const blob of blobs.filter(({ digest }) => missing.includes(digest))) {
        await pushBlob(model, url, { name, repository }, blob);
      }
      const byTag = given.byTag && given.tags.length > 0;
      const moved = byTag ? given.tags.slice(0, 1) : given.tags;
      const query = new URLSearchParams(byTag ? [] : moved.map((tag) => ['tag', tag]));
      const path = `/v2/${name}/manifests/${byTag ? moved[0] : digest}?${query}`;
      const response = await fetch(url + path, {
        method: 'PUT',
        headers: { 'content-type': mediaType },
        body,
      });
      if (!fitsRepository(model, repository)) return assert.equal(response.status, 403);
      if (!manifest.needs.every((blob) => repository.blobs.has(blob)))
        return assert.equal(response.status, 400);
      if (!fitsTags(model, repository, moved)) return assert.equal(response.status, 403);
      assert.equal(response.status, 201);
      assert.equal(response.headers.get('docker-content-digest'), digest);
      assert.equal(response.headers.get('oci-subject'), subject ?? null);
      pushed(model, repository, manifest, moved);
    },
  ),

  command('getManifest', fc.record({ name: anyOf, reference }), async (model, { url }, given) => {
    const { name, repository } = anyNamed(model, given.name);
    const manifest = find(repository, given.reference);
    const path = `${url}/v2/${name}/manifests/${given.reference}`;
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
    model.pulls.add(repository.rows.get(manifest.digest) as Row);
  }),

  command('deleteManifest', fc.record({ name: anyOf, reference }), async (model, { url }, given) => {
    const { name, repository } = anyNamed(model, given.name);
    const manifest = find(repository, given.reference);
    const path = `/v2/${name}/manifests/${given.reference}`;
    const response = await fetch(url + path, { method: 'DELETE' });
    if (manifest === undefined) return assertUnknown(response, repository);
    assert.equal(response.status, 202);
    if (repository.tags.has(given.reference)) untag(model, repository, given.reference);
    else trashManifest(model, repository, manifest);
  }),

  command('restoreManifest', fc.record({ name: anyOf, manifest: anyOf }), async (model, registry, given) => {
    const { name, repository } = anyNamed(model, given.name);
    const deleted = [...repository.trash.values()];
    const { digest } = pick(deleted.length > 0 ? deleted : manifests, given.manifest);
    const { trash, trashedTags, tags } = repository;
    const restored = trashedParts(repository, digest);
    const owners = [...new Set([digest, ...restored])].filter((each) => trashedTags.get(each)?.size);
    const restoring = restoreFromTrash(registry.administration, `${repository.name}@${digest}`, {
      immutableTags: [],
      quotas: noQuotas,
    });
    const result = await restoring.catch((error: unknown) => assert.ok(error instanceof Refused, `${error}`));
    if (restored.size + owners.length === 0) return assert.equal(result, undefined);
    assert.ok(result);
    assert.equal(result.manifests, restored.size);
    for (const each of restored) {
      const manifest = trash.get(each) as Manifest;
      trash.delete(each);
      repository.manifests.set(each, manifest);
      if (!repository.rows.has(each)) repository.rows.set(each, repository.trashedRows.get(each) as Row);
      repository.trashedRows.delete(each);
      for (const blob of manifest.needs) repository.blobs.add(blob);
    }
    const expected = new Set<string>();
    model.pushes += 1;
    for (const owner of owners) {
      for (const tag of trashedTags.get(owner) as Set<string>) {
        const manifest = repository.manifests.get(owner);
        if (manifest === undefined || (tags.has(tag) && !expected.has(tag))) continue;
        expected.add(tag);
        // Two of the manifests may have had the tag at different times; one of them gets it.
        const path = `${registry.url}/v2/${name}/manifests/${tag}`;
        const at = (await fetch(path, { method: 'HEAD' })).headers.get('docker-content-digest');
        if (at !== owner) continue;
        pointTag(model, repository, tag, manifest);
        trashedTags.get(owner)?.delete(tag);
      }
    }
    assert.deepEqual([...result.tags].sort(), [...expected].sort());
  }),

  command('emptyTrash', fc.constant(null), async (model, registry) => {
    await emptyTrashOf(registry.administration, undefined);
    model.deleted.length = 0;
    for (const { trash, trashedRows, trashedTags } of model.repositories) {
      for (const each of [trash, trashedRows, trashedTags]) each.clear();
    }
  }),

  command(
    'moveTagIfMatch',
    fc.record({ name: anyOf, manifest: anyOf, expected: anyOf }),
    async (model, { url }, given) => {
      const { name, repository } = anyNamed(model, given.name);
      const manifest = pick(manifests, given.manifest);
      const expected = pick(manifests, given.expected);
      if (!manifest.needs.every((blob) => repository.blobs.has(blob))) return;
      const [tag] = tags;
      const headers = { 'content-type': manifest.mediaType, 'if-match': `"${expected.digest}"` };
      const path = `/v2/${name}/manifests/${tag}`;
      const response = await fetch(url + path, { method: 'PUT', headers, body: manifest.bytes });
      if (!fitsRepository(model, repository)) return assert.equal(response.status, 403);
      if (repository.tags.get(tag) !== expected) return assert.equal(response.status, 412);
      assert.equal(response.status, 201);
      pushed(model, repository, manifest, [tag]);
    },
  ),
];
