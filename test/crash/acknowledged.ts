import assert from 'node:assert/strict';
import type { Client, Pushed } from '../support/inject.ts';

/** Acknowledged content, which must stay readable byte for byte. */
export class AcknowledgedContent {
  readonly #bodies = new Map<string, Buffer>();

  blob(name: string, digest: string, bytes: Buffer): void {
    this.#bodies.set(`/v2/${name}/blobs/${digest}`, bytes);
  }

  manifest(name: string, { digest, bytes }: Pushed, ...tags: string[]): void {
    for (const reference of [digest, ...tags]) this.#bodies.set(`/v2/${name}/manifests/${reference}`, bytes);
  }

  async assertAllThere(client: Client): Promise<void> {
    assert.ok(this.#bodies.size > 0);
    for (const [url, bytes] of this.#bodies) {
      const answer = await client.get(url);
      assert.equal(answer.status, 200, url);
      assert.ok(answer.body.equals(bytes), `${url} has other bytes than those acknowledged`);
    }
  }
}
