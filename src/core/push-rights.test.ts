// Rights of a push on existing tags, new tags and new manifests.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dialects, repositoryName } from '../../test/support/databases.ts';
import { makeManifest } from '../../test/support/manifests.ts';
import { system } from '../db/changes.ts';
import { RegistryError } from '../oci/errors.ts';
import { parseReference, parseTag } from '../oci/reference.ts';
import { Manifests } from './manifests.ts';

const all = { mayCreate: true, mayUpdate: true };
const create = { mayCreate: true, mayUpdate: false };
const update = { mayCreate: false, mayUpdate: true };
const nothing = { mayCreate: false, mayUpdate: false };

const [first, second, unstored] = ['first', 'second', 'unstored'].map(makeManifest);
const moves = 'already exists and overwriting it is not allowed';
const isNew = 'does not exist and creating tags is not allowed';
const bringsContent = 'is not stored and pushing new manifests is not allowed';

/** The tag `standing` points to the first manifest; the second is stored without a tag. `tags` are set by a push by digest. */
const rows: [rights: typeof all, what: typeof first, reference: string, tags: string[], refusal?: string][] =
  [
    [all, second, 'standing', []],
    [all, unstored, 'new', []],
    [create, second, 'new', []],
    [create, unstored, 'new', []],
    [create, unstored, 'digest', []],
    [create, first, 'standing', []],
    [create, first, 'digest', ['standing', 'new']],
    [create, second, 'standing', [], `tag standing ${moves}`],
    [create, unstored, 'standing', [], `tag standing ${moves}`],
    [create, second, 'digest', ['new', 'standing'], `tag standing ${moves}`],
    [update, second, 'standing', []],
    [update, second, 'digest', ['standing']],
    [update, first, 'standing', []],
    [update, second, 'digest', []],
    [update, first, 'new', [], `tag new ${isNew}`],
    [update, second, 'digest', ['standing', 'new'], `tag new ${isNew}`],
    [update, unstored, 'standing', [], `${unstored?.digest} ${bringsContent}`],
    [update, unstored, 'digest', [], `${unstored?.digest} ${bringsContent}`],
    [nothing, first, 'standing', []],
    [nothing, second, 'standing', [], `tag standing ${moves}`],
    [nothing, first, 'new', [], `tag new ${isNew}`],
    [nothing, unstored, 'digest', [], `${unstored?.digest} ${bringsContent}`],
  ];

for (const { name, open } of dialects) {
  test(`${name}: a push creates and moves only what its rights allow, and a refused push changes nothing`, async (t) => {
    const database = await open(t);
    const manifests = new Manifests({
      database,
      clock: () => 1,
      missingReferences: 'all',
      immutableTags: [],
    });
    const put = (what = first!, reference: string, tags: string[], rights = all) => {
      const at = parseReference(reference === 'digest' ? what.digest : reference);
      return manifests.put(repositoryName, at, {
        ...what,
        tags: tags.map(parseTag),
        conditions: {},
        rights,
        by: system,
      });
    };
    const digestAt = async (reference: string) =>
      manifests.get(repositoryName, parseReference(reference)).then(
        ({ digest }) => digest,
        () => undefined,
      );
    const places = ['standing', 'new', ...[first, second, unstored].map((one) => one!.digest)];
    for (const [rights, what, reference, tags, refusal] of rows) {
      await put(first, 'standing', []);
      await put(second, 'digest', []);
      for (const gone of ['new', unstored!.digest]) {
        await manifests.delete(repositoryName, parseReference(gone), system).catch(() => {});
      }
      const before = await Promise.all(places.map(digestAt));
      const label = `${JSON.stringify(rights)}: ${what?.label} at ${[reference, ...tags]}`;
      if (refusal === undefined) {
        await put(what, reference, tags, rights);
        for (const place of [...tags, reference === 'digest' ? what!.digest : reference]) {
          assert.equal(await digestAt(place), what?.digest, `${label}: ${place}`);
        }
        continue;
      }
      await assert.rejects(put(what, reference, tags, rights), (error) => {
        assert.ok(error instanceof RegistryError, `${label}: ${error}`);
        assert.deepEqual([error.code, error.detail], ['DENIED', refusal], label);
        return true;
      });
      assert.deepEqual(await Promise.all(places.map(digestAt)), before, label);
    }
  });
}
