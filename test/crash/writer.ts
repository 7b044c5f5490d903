import assert from 'node:assert/strict';
import { randomBytes, randomInt } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import {
  type Client,
  describe,
  digestOf,
  imageOf,
  ociConfig,
  ociLayer,
  randomConfig,
  serialize,
} from '../support/inject.ts';
import { NoAnswer } from './http-client.ts';
import type { Ledger } from './ledger.ts';

const chunk = 256 << 10;

/** The most milliseconds between two actions of a writer in a round of kills. */
const restUnderKills = 30;

interface Unfinished {
  readonly location: string;
  readonly bytes: Buffer;
  /** Bytes that were sent, at most. */
  sent: number;
}

/** A client that pushes, tags, mounts and deletes in its own repositories until the server stops answering. */
export class Writer {
  readonly #name: string;
  readonly #ledger: Ledger;
  readonly #longestRest: number;
  /** A chunked upload that a kill cut short; it is resumed in the next round. */
  #unfinished: Unfinished | undefined;
  /** `tag → digest` of the tags that this writer knows to exist. */
  readonly #tags = new Map<string, string>();
  resumed = 0;

  /** @param longestRest the most milliseconds between two actions: what is written is read again, so more writes make a test longer and prove no more */
  constructor(name: string, ledger: Ledger, longestRest = restUnderKills) {
    this.#name = name;
    this.#ledger = ledger;
    this.#longestRest = longestRest;
  }

  async run(client: Client): Promise<void> {
    try {
      if (this.#unfinished) await this.#resume(client, this.#unfinished);
      for (;;) {
        await this.#act(client);
        await delay(randomInt(this.#longestRest));
      }
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error;
    }
  }

  async #act(client: Client): Promise<void> {
    const dice = randomInt(10);
    if (dice < 6) await this.#pushImage(client);
    else if (dice < 8) await this.#pushInChunks(client);
    else await this.#delete(client, dice === 8 ? 'tag' : 'manifest');
  }

  async #pushImage(client: Client): Promise<void> {
    const config = randomConfig();
    const layer = randomBytes(randomInt(1, 64 << 10));
    for (const bytes of [config, layer]) await this.#pushBlob(client, bytes);
    const document = imageOf(describe(config, ociConfig), [describe(layer, ociLayer)]);
    const tag = `t${randomInt(5)}`;
    const bytes = serialize(document);
    // Until the answer, it is unknown which manifest the tag names.
    this.#tags.delete(tag);
    await this.#ledger.write({ [this.#manifest(digestOf(bytes))]: bytes, [this.#manifest(tag)]: bytes }, () =>
      client.putManifest(this.#name, tag, bytes),
    );
    this.#tags.set(tag, digestOf(bytes));
    const mounted = `/v2/${this.#name}/mounted/blobs/${digestOf(layer)}`;
    await this.#ledger.write({ [mounted]: layer }, () =>
      client.send(
        'POST',
        `/v2/${this.#name}/mounted/blobs/uploads/?mount=${digestOf(layer)}&from=${this.#name}`,
      ),
    );
  }

  async #pushBlob(client: Client, bytes: Buffer): Promise<void> {
    const digest = digestOf(bytes);
    if (randomInt(2) === 0) {
      await this.#ledger.write({ [this.#blob(digest)]: bytes }, () =>
        client.send('POST', `/v2/${this.#name}/blobs/uploads/?digest=${digest}`, {}, bytes),
      );
    } else {
      const location = await client.openUpload(this.#name);
      await this.#ledger.write({ [this.#blob(digest)]: bytes }, () => client.finish(location, digest, bytes));
    }
  }

  async #pushInChunks(client: Client): Promise<void> {
    const bytes = randomBytes(randomInt(1, 5 * chunk));
    this.#unfinished = { location: await client.openUpload(this.#name), bytes, sent: 0 };
    assert.ok(await this.#sendFrom(client, this.#unfinished, 0));
  }

  /** False when the session is gone, as it may be after a kill. */
  async #sendFrom(client: Client, upload: Unfinished, from: number): Promise<boolean> {
    const { location, bytes } = upload;
    for (let at = from; at < bytes.length; at += chunk) {
      upload.sent = Math.min(at + chunk, bytes.length);
      const { status } = await client.patch(location, bytes.subarray(at, at + chunk));
      if (status === 404) return false;
      assert.equal(status, 202);
    }
    const digest = digestOf(bytes);
    const finish = () => client.finish(location, digest);
    if (!(await this.#ledger.write({ [this.#blob(digest)]: bytes }, finish, { mayBeGone: from > 0 })))
      return false;
    this.#unfinished = undefined;
    return true;
  }

  /** R1: the session reports its stored bytes and continues after them, or it is gone. */
  async #resume(client: Client, upload: Unfinished): Promise<void> {
    const status = await client.get(upload.location);
    assert.match(String(status.status), /^(204|404)$/);
    if (status.status === 204) {
      const last = Number(/^0-(\d+)$/.exec(status.headers.range!)![1]);
      const stored = last === 0 ? 0 : last + 1;
      assert.ok(
        stored <= upload.sent,
        `${stored} bytes are reported as stored, but only ${upload.sent} were sent`,
      );
      if (await this.#sendFrom(client, upload, stored)) {
        this.resumed += 1;
        return;
      }
    }
    this.#unfinished = undefined;
    await this.#pushBlob(client, upload.bytes);
  }

  async #delete(client: Client, what: 'tag' | 'manifest'): Promise<void> {
    const [found] = this.#tags;
    if (found === undefined) return;
    const [tag, digest] = found;
    if (what === 'tag') {
      this.#tags.delete(tag);
      await this.#ledger.write({ [this.#manifest(tag)]: undefined }, () =>
        client.delete(this.#manifest(tag)),
      );
    } else {
      const tags = [...this.#tags].filter(([, tagged]) => tagged === digest).map(([tag]) => tag);
      for (const tag of tags) this.#tags.delete(tag);
      const urls = [digest, ...tags].map((reference) => this.#manifest(reference));
      await this.#ledger.write(Object.fromEntries(urls.map((url) => [url, undefined])), () =>
        client.delete(this.#manifest(digest)),
      );
    }
  }

  #blob(digest: string): string {
    return `/v2/${this.#name}/blobs/${digest}`;
  }

  #manifest(reference: string): string {
    return `/v2/${this.#name}/manifests/${reference}`;
  }
}
