import { describe, digestOf, imageOf, ociConfig, ociLayer, serialize } from '../support/inject.ts';
import { pushInChunks } from './chunked-push.ts';
import { Unsettled } from './ledger.ts';
import type { Random } from './random.ts';
import type { RetryingClient } from './retrying-client.ts';

const kib = 1 << 10;
const mib = 1 << 20;

/** All pushers move these tags of one repository. */
const shared = 'shared/app';
const sharedTags = ['a', 'b'];

const manifestUrl = (name: string, reference: string) => `/v2/${name}/manifests/${reference}`;
const blobUrl = (name: string, digest: string) => `/v2/${name}/blobs/${digest}`;

/** Pushes, tags, mounts, deletes and pulls, in its own repository and in a shared one. */
export class Pusher {
  readonly #retrying: RetryingClient;
  readonly #random: Random;
  readonly #name: string;
  /** Manifests that this pusher may delete, each with its tag and its layer. */
  readonly #deletable: { tag: string; digest: string; layer: string }[] = [];
  #count = 0;

  constructor(retrying: RetryingClient, random: Random, name: string) {
    this.#retrying = retrying;
    this.#random = random;
    this.#name = name;
  }

  async act(): Promise<void> {
    const dice = this.#random.integer(0, 20);
    if (dice < 6) await this.#pushImage(`moving-${this.#random.integer(0, 3)}`);
    else if (dice < 8) await this.#pushDeletable();
    else if (dice < 10) await this.#delete();
    else if (dice < 12) await this.#pushChunked();
    else if (dice < 15) await this.#moveShared();
    else if (dice < 16) await this.#retrying.listTags(this.#name);
    else await this.#pull();
  }

  /** Pushes an image with a new config and layer to the tag; returns the digests of its manifest and its layer. */
  async #pushImage(tag: string): Promise<{ digest: string; layer: string }> {
    const config = this.#config();
    const layer = this.#random.bytes(this.#random.integer(1, 300 * kib));
    for (const bytes of [config, layer]) await this.#pushBlob(bytes);
    const bytes = serialize(imageOf(describe(config, ociConfig), [describe(layer, ociLayer)]));
    const digest = digestOf(bytes);
    const changes = { [manifestUrl(this.#name, digest)]: bytes, [manifestUrl(this.#name, tag)]: bytes };
    await this.#retrying.mustWrite(changes, () => this.#retrying.client.putManifest(this.#name, tag, bytes));
    await this.#retrying.read(manifestUrl(this.#name, tag));
    return { digest, layer: digestOf(layer) };
  }

  async #pushBlob(bytes: Buffer): Promise<void> {
    const { client } = this.#retrying;
    const digest = digestOf(bytes);
    const [name, mounted] = [this.#name, `${this.#name}/mounted`];
    const atOnce = this.#random.next() < 0.5;
    await this.#retrying.mustWrite({ [blobUrl(name, digest)]: bytes }, async () =>
      atOnce
        ? client.send('POST', `/v2/${name}/blobs/uploads/?digest=${digest}`, {}, bytes)
        : client.finish(await client.openUpload(name), digest, bytes),
    );
    if (this.#random.next() < 0.5) return;
    await this.#retrying.mustWrite({ [blobUrl(mounted, digest)]: bytes }, async () => {
      const answer = await client.send('POST', `/v2/${mounted}/blobs/uploads/?mount=${digest}&from=${name}`);
      // A stored blob can be mounted; 202 opens an upload instead.
      if (answer.status === 202) this.#retrying.ledger.report(`${mounted}: ${digest} was not mounted`);
      return answer;
    });
  }

  async #pushChunked(): Promise<void> {
    // A fifth are large enough for parts of a multipart upload.
    const large = this.#random.next() < 0.2;
    const bytes = this.#random.bytes(
      large ? this.#random.integer(5 * mib, 7 * mib) : this.#random.integer(1, mib),
    );
    await pushInChunks(
      this.#retrying,
      this.#name,
      bytes,
      this.#random.integer(1, 4) * (large ? mib : 128 * kib),
    );
  }

  async #pushDeletable(): Promise<void> {
    this.#count += 1;
    const tag = `deletable-${this.#count}`;
    this.#deletable.push({ tag, ...(await this.#pushImage(tag)) });
  }

  async #delete(): Promise<void> {
    const image = this.#deletable.shift();
    if (image === undefined) return;
    const { tag, digest, layer } = image;
    if (this.#random.next() < 0.5) await this.#deleteOne(manifestUrl(this.#name, tag));
    await this.#deleteOne(manifestUrl(this.#name, digest));
    await this.#retrying.read(manifestUrl(this.#name, tag));
    await this.#deleteOne(blobUrl(this.#name, layer));
    await this.#retrying.head(blobUrl(this.#name, layer));
  }

  async #deleteOne(url: string): Promise<void> {
    const { client, ledger, name } = this.#retrying;
    await this.#retrying.untilSettled(async () => {
      const begin = performance.now();
      const answer = await ledger.write({ [url]: undefined }, () => client.delete(url));
      // An earlier attempt may have deleted it.
      if (answer.status === 404) ledger.recordRead(url, answer, { begin, by: name });
      else if (answer.status !== 202)
        ledger.report(`${name}: DELETE ${url}: ${answer.status} ${answer.body}`);
    });
  }

  /** Moves a shared tag with If-Match, so that no other move is lost. One attempt, without a retry after 412. */
  async #moveShared(): Promise<void> {
    const { client, ledger } = this.#retrying;
    const config = Buffer.from('{}');
    const configUrl = blobUrl(shared, digestOf(config));
    await this.#retrying.mustWrite({ [configUrl]: config }, () =>
      client.send('POST', `/v2/${shared}/blobs/uploads/?digest=${digestOf(config)}`, {}, config),
    );
    const url = manifestUrl(shared, this.#random.pick(sharedTags)!);
    const current = await this.#retrying.read(url);
    const etag = current.status === 200 ? current.headers.etag : undefined;
    const annotations = { from: `${this.#name} ${this.#random.next()}` };
    const bytes = serialize(imageOf(describe(config, ociConfig), [], { annotations }));
    const changes = { [url]: bytes, [manifestUrl(shared, digestOf(bytes))]: bytes };
    const conditions: Record<string, string> =
      etag === undefined ? { 'if-none-match': '*' } : { 'if-match': etag };
    const replaces = etag?.replaceAll('"', '');
    try {
      const answer = await ledger.write(
        changes,
        () => client.putManifest(shared, url.split('/').at(-1)!, bytes, conditions),
        replaces === undefined ? {} : { replaces },
      );
      if (![201, 412].includes(answer.status)) ledger.report(`${url}: ${answer.status} ${answer.body}`);
    } catch (error) {
      if (!(error instanceof Unsettled)) throw error;
    }
  }

  async #pull(): Promise<void> {
    const { ledger } = this.#retrying;
    const url = this.#random.pick(ledger.urls());
    if (url === undefined) return;
    const size = ledger.content(url)?.length ?? 0;
    const dice = this.#random.next();
    if (dice < 0.3) return this.#retrying.head(url);
    if (dice < 0.6 && url.includes('/blobs/') && size > 0) {
      const first = this.#random.integer(0, size);
      await this.#retrying.read(url, [first, this.#random.integer(first, size)]);
    } else {
      await this.#retrying.read(url);
    }
  }

  #config(): Buffer {
    return serialize({ architecture: 'amd64', os: 'linux', author: `${this.#name} ${this.#random.next()}` });
  }
}
