import type { Digest } from '../oci/digest.ts';

/** A manifest as it was pushed. */
export interface StoredManifest {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly bytes: Buffer;
}

const maxBytes = 64 << 20;
/** Approximate size of an entry beside its bytes. */
const overhead = 512;

/** Manifests by row id, whose bytes never change; evicts the least recently used. */
export class ManifestCache {
  readonly #entries = new Map<number, StoredManifest>();
  #bytes = 0;

  get(id: number): StoredManifest | undefined {
    const manifest = this.#entries.get(id);
    if (manifest !== undefined && this.#bytes > maxBytes / 2) {
      // Only a cache that may have to evict needs the order of use.
      this.#entries.delete(id);
      this.#entries.set(id, manifest);
    }
    return manifest;
  }

  set(id: number, manifest: StoredManifest): void {
    if (this.#entries.has(id)) return;
    this.#entries.set(id, manifest);
    this.#bytes += manifest.bytes.length + overhead;
    for (const [oldest, { bytes }] of this.#entries) {
      if (this.#bytes <= maxBytes) return;
      this.#entries.delete(oldest);
      this.#bytes -= bytes.length + overhead;
    }
  }
}
