import { LRUCache } from 'lru-cache';
import type { Digest } from '../oci/digest.ts';

/** A manifest as it was pushed. */
export interface StoredManifest {
  /** Row id. */
  readonly id: number;
  readonly digest: Digest;
  readonly mediaType: string;
  readonly bytes: Buffer;
}

const maxBytes = 64 << 20;
/** Approximate size of an entry beside its bytes. */
const overhead = 512;

/** Manifests by row id, whose bytes never change; evicts the least recently used. */
export type ManifestCache = LRUCache<number, StoredManifest>;

export function manifestCache(): ManifestCache {
  return new LRUCache({ maxSize: maxBytes, sizeCalculation: ({ bytes }) => bytes.length + overhead });
}
