import { linkBlob } from '../../db/blob-links.ts';
import { lockHeld } from '../../db/blob-reviews.ts';
import { recordStored } from '../../db/blobs.ts';
import { recordChange } from '../../db/changes.ts';
import { ensureManifest, heldManifests, insertReferences } from '../../db/manifests.ts';
import { nextTurnInTransaction } from '../../db/next-turn.ts';
import type { Db } from '../../db/prepare.ts';
import { findOrCreateRepository } from '../../db/repositories.ts';
import type { Digest } from '../../oci/digest.ts';
import { manifestKind } from '../../oci/media-types.ts';
import type { RepositoryName } from '../../oci/name.ts';
import { newManifestOf } from '../manifests.ts';
import type { Usable } from './adopt-blobs.ts';
import type { AdoptParts } from './parts.ts';
import type { WholeManifest } from './read-manifest.ts';

/** Links that are written without yielding to the event loop: some milliseconds on SQLite. */
const linksInTurn = 200;

/** A manifest's references, as sets. */
export interface References {
  readonly blobs: ReadonlySet<Digest>;
  /** An index's entries. */
  readonly children: ReadonlySet<Digest>;
  /** Those of them that are manifests by their media type; the others are layers (BuildKit's cache exports). */
  readonly childManifests: ReadonlySet<Digest>;
}

export function referencesOf({ manifest }: WholeManifest): References {
  const digestsOf = (list: typeof manifest.blobs): Set<Digest> => new Set(list.map(({ digest }) => digest));
  const manifests = manifest.children.filter(({ mediaType }) => manifestKind(mediaType) !== undefined);
  return {
    blobs: digestsOf(manifest.blobs),
    children: digestsOf(manifest.children),
    childManifests: digestsOf(manifests),
  };
}

/** What a transaction has added, and which references of its manifests it did not find. */
export interface Written {
  links: number;
  manifests: number;
  /** The missing references of a manifest; with `missingReferences` they may have prevented its insertion. */
  missing: Map<Digest, { readonly digests: readonly Digest[]; readonly inserted: boolean }>;
}

/**
 * Links blobs to a repository and inserts manifests, children before their indexes, in one transaction. The rule about missing
 * references is that of a push.
 *
 * @param blobs those to link
 * @param held those that the repository held before the transaction
 */
export function writeManifests(
  { database, by, missingReferences: rule }: AdoptParts,
  name: RepositoryName,
  manifests: readonly WholeManifest[],
  { blobs, held }: { blobs: ReadonlyMap<Digest, Usable>; held: readonly Digest[] },
): Promise<Written> {
  return database.transaction(async (db) => {
    const now = database.clock();
    const repository = await findOrCreateRepository(db, name, now);
    const present = await lockHeld(db, repository, held);
    const linked = await linkAll(db, repository, blobs, now);
    for (const digest of linked) present.add(digest);
    const written: Written = { links: linked.length, manifests: 0, missing: new Map() };
    for (const whole of manifests) {
      const { digest, manifest, bytes } = whole;
      const { blobs, children } = referencesOf(whole);
      const here = children.size === 0 ? present : await heldManifests(db, repository, children);
      const isMissing = (digest: Digest): boolean => !present.has(digest) && !here.has(digest);
      const missing = { blobs: [...blobs].filter(isMissing), children: [...children].filter(isMissing) };
      const digests = [...missing.blobs, ...missing.children];
      const inserted = rule === 'all' || (rule === 'children' ? missing.blobs : digests).length === 0;
      if (digests.length > 0) written.missing.set(digest, { digests, inserted });
      if (!inserted) continue;
      const annotations = manifest.annotations ? JSON.stringify(manifest.annotations) : null;
      const row = newManifestOf({ repository, digest, manifest, annotations, bytes });
      const { id, isNew } = await ensureManifest(db, row, now);
      if (!isNew) continue;
      await insertReferences(db, id, 'blob', blobs);
      await insertReferences(db, id, 'child', children);
      written.manifests += 1;
    }
    if (written.links + written.manifests > 0) {
      const detail = { blobs: written.links, manifests: written.manifests, tags: 0 };
      const change = { kind: 'repository.adopt', repository: name, repositoryId: repository, detail };
      await recordChange(db, by, change, now);
    }
    return written;
  });
}

/** Links the blobs, in the order in which all transactions lock them. Returns those whose deletion was not decided meanwhile. */
async function linkAll(
  db: Db,
  repository: number,
  blobs: ReadonlyMap<Digest, Usable>,
  now: number,
): Promise<Digest[]> {
  const linked: Digest[] = [];
  for (const [digest, blob] of [...blobs].sort(([one], [other]) => (one < other ? -1 : 1))) {
    if (!(await recordStored(db, { digest, ...blob }, now))) continue;
    await linkBlob(db, repository, digest, now);
    linked.push(digest);
    if (linked.length % linksInTurn === 0) await nextTurnInTransaction();
  }
  return linked;
}
