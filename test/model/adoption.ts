// What a registry has when it begins: the images of a tree of CNCF distribution, which it has adopted.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { berth } from '../support/berth.ts';
import { DistributionTree } from '../support/distribution-tree.ts';
import { blobs, manifests, repositories, tags } from './content.ts';
import { pushed } from './manifest-commands.ts';
import { emptyModel, type Model, named } from './model.ts';

const images = manifests.filter(({ needs }) => needs.length > 0);

/** Images in the order of their pushes to the tree. */
export const adoptedImages = fc.array(
  fc.record({
    name: fc.constantFrom(...repositories),
    image: fc.constantFrom(...images),
    tag: fc.option(fc.constantFrom(...tags)),
  }),
  { maxLength: 3 },
);

type Images = typeof adoptedImages extends fc.Arbitrary<infer T> ? T : never;

/** Writes a tree with the images and adopts it. */
export async function adoptTree(data: string, adopted: Images): Promise<void> {
  if (adopted.length === 0) return;
  const tree = new DistributionTree(data);
  for (const [at, { name, image, tag }] of adopted.entries()) {
    for (const { bytes } of blobs.filter(({ digest }) => image.needs.includes(digest))) {
      await tree.layer(name, bytes);
    }
    await tree.manifest(name, image.bytes.toString());
    if (tag !== null) await tree.tag(name, tag, image.digest, (at + 1) * 1_000);
  }
  const { exitCode, err } = await berth('adopt', '--data', data);
  assert.equal(exitCode, 0, err);
}

export function modelOf(adopted: Images): Model {
  const model = emptyModel();
  for (const { name, image, tag } of adopted) {
    const repository = named(model, name);
    for (const digest of image.needs) repository.blobs.add(digest);
    pushed(model, repository, image, tag === null ? [] : [tag]);
  }
  return model;
}
