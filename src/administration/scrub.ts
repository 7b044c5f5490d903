// Damaged blobs and manifests, and the passes that find them.
import { affectedByBlob } from '../core/fsck/affected.ts';
import { findScrub, type Problem, problemsOf, shareRead } from '../core/scrub-state.ts';
import { countDamaged, type DamagedBlob, listDamaged } from '../db/damaged-blobs.ts';
import type { Database } from '../db/database.ts';
import { maxCounted } from './garbage.ts';

/** What a pass has read; times in milliseconds since 1970. */
interface Read {
  readonly began: number;
  readonly blobs: number;
  readonly bytes: number;
  readonly manifests: number;
}

/** State of the scrub. */
export interface ScrubStatus {
  /** The unfinished pass; `share` of the blobs that it has read, from 0 to 1. Null if there is none. */
  readonly pass: (Read & { readonly share: number }) | null;
  /** The last complete pass; null if never. */
  readonly last: (Read & { readonly ended: number }) | null;
  /** Number of damaged blobs, counted up to `maxCounted`. */
  readonly damaged: number;
  /** The first {@link maxShown} of them, with the images and repositories that they affect (see `fsck/affected.ts`). */
  readonly blobs: readonly (DamagedBlob & { readonly affects: readonly string[] })[];
  /** Manifests with wrong bytes, and blobs that could not be read, of the last passes. */
  readonly manifests: readonly Problem[];
  readonly unreadable: readonly Problem[];
}

export const maxShown = 100;

export async function scrubStatus({ read }: Pick<Database, 'read'>): Promise<ScrubStatus> {
  const state = await findScrub(read);
  const blobs = await Promise.all(
    (await listDamaged(read, maxShown)).map(async (blob) => ({
      ...blob,
      affects: await affectedByBlob(read, blob.digest),
    })),
  );
  return {
    pass: state.pass === undefined ? null : { ...readBy(state.pass), share: shareRead(state.pass) },
    last: state.last === undefined ? null : { ...readBy(state.last), ended: state.last.ended },
    damaged: blobs.length < maxShown ? blobs.length : await countDamaged(read, maxCounted),
    blobs,
    manifests: problemsOf(state, 'damagedManifests'),
    unreadable: problemsOf(state, 'unreadable'),
  };
}

function readBy({ began, blobs, bytes, manifests }: Read): Read {
  return { began, blobs, bytes, manifests };
}
