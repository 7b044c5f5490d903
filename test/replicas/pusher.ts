import { describe, digestOf, imageOf, ociConfig, ociLayer, serialize } from '../support/inject.ts';
import { pushInChunks } from './chunked-push.ts';
import { Unsettled } from './ledger.ts';
import type { Random } from './random.ts';
import type { Visitor } from './visitor.ts';

const kib = 1 << 10;
const mib = 1 << 20;

/** All pushers move these tags of one repository. */
const shared = 'shared/app';
const sharedTags = ['a', 'b'];

const manifestUrl = (name: string, reference: string) => `/v2/${name}/manifests/${reference}`;
const blobUrl = (name: string, digest: string) => `/v2/${name}/blobs/${digest}`;

/** Pushes, tags, mounts, deletes and pulls, in a repository of its own and in one of everybody's. */
export class Pusher {
  readonly #visitor: Visitor;
  readonly #random: Random;
  readonly #name: string;
  /** Digests of manifests that this pusher may delete, with the tag that each had at first. */
  readonly #deletable: { tag: string; digest: string; layer: string }[] = [];
  #count = 0;

  constructor(visitor: Visitor, random: Random, name: string) {
    this.#visitor = visitor;
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
    else if (dice < 16) await this.#visitor.listTags(this.#name);
    else await this.#pull();
  }

  /** An image of a new config and a new layer, at the tag; the digests of its manifest and its layer. */
  async #pushImage(tag: string): Promise<{ digest: string; layer: string }> {
    const config = this.#config();
    const layer = this.#random.bytes(this.#random.integer(1, 300 * kib));
    for (const bytes of [config, layer]) await this.#pushBlob(bytes);
    const bytes = serialize(imageOf(describe(config, ociConfig), [describe(layer, ociLayer)]));
    const digest = digestOf(bytes);
    const changes = { [manifestUrl(this.#name, digest)]: bytes, [manifestUrl(this.#name, tag)]: bytes };
    await this.#visitor.mustWrite(changes, () => this.#visitor.client.putManifest(this.#name, tag, bytes));
    await this.#visitor.look(manifestUrl(this.#name, tag));
    return { digest, layer: digestOf(layer) };
  }

  async #pushBlob(bytes: Buffer): Promise<void> {
    const { client } = this.#visitor;
    const digest = digestOf(bytes);
    const [name, mounted] = [this.#name, `${this.#name}/mounted`];
    const atOnce = this.#random.next() < 0.5;
    await this.#visitor.mustWrite({ [blobUrl(name, digest)]: bytes }, async () =>
      atOnce
        ? client.send('POST', `/v2/${name}/blobs/uploads/?digest=${digest}`, {}, bytes)
        : client.finish(await client.openUpload(name), digest, bytes),
    );
    if (this.#random.next() < 0.5) return;
    await this.#visitor.mustWrite({ [blobUrl(mounted, digest)]: bytes }, async () => {
      const answer = await client.send('POST', `/v2/${mounted}/blobs/uploads/?mount=${digest}&from=${name}`);
      // What is there can be mounted; 202 opens an upload instead.
      if (answer.status === 202) this.#visitor.ledger.report(`${mounted}: ${digest} was not mounted`);
      return answer;
    });
  }

  async #pushChunked(): Promise<void> {
    // Some as large as the parts of a bucket's multipart uploads, most of them not.
    const large = this.#random.next() < 0.2;
    const bytes = this.#random.bytes(
      large ? this.#random.integer(5 * mib, 7 * mib) : this.#random.integer(1, mib),
    );
    await pushInChunks(
      this.#visitor,
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
    await this.#visitor.look(manifestUrl(this.#name, tag));
    await this.#deleteOne(blobUrl(this.#name, layer));
    await this.#visitor.glance(blobUrl(this.#name, layer));
  }

  async #deleteOne(url: string): Promise<void> {
    const { client, ledger, name } = this.#visitor;
    await this.#visitor.settled(async () => {
      const begin = performance.now();
      const answer = await ledger.write({ [url]: undefined }, () => client.delete(url));
      // An attempt before this one may have done it.
      if (answer.status === 404) ledger.saw(url, answer, { begin, by: name });
      else if (answer.status !== 202)
        ledger.report(`${name}: DELETE ${url}: ${answer.status} ${answer.body}`);
    });
  }

  /** As who adds to what is there: nobody else's move may get lost. One attempt; who is too late looks again some other time. */
  async #moveShared(): Promise<void> {
    const { client, ledger } = this.#visitor;
    const config = Buffer.from('{}');
    const configUrl = blobUrl(shared, digestOf(config));
    await this.#visitor.mustWrite({ [configUrl]: config }, () =>
      client.send('POST', `/v2/${shared}/blobs/uploads/?digest=${digestOf(config)}`, {}, config),
    );
    const url = manifestUrl(shared, this.#random.pick(sharedTags)!);
    const current = await this.#visitor.look(url);
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
    const { ledger } = this.#visitor;
    const url = this.#random.pick(ledger.urls());
    if (url === undefined) return;
    const size = ledger.content(url)?.length ?? 0;
    const dice = this.#random.next();
    if (dice < 0.3) return this.#visitor.glance(url);
    if (dice < 0.6 && url.includes('/blobs/') && size > 0) {
      const first = this.#random.integer(0, size);
      await this.#visitor.look(url, [first, this.#random.integer(first, size)]);
    } else {
      await this.#visitor.look(url);
    }
  }

  #config(): Buffer {
    return serialize({ architecture: 'amd64', os: 'linux', author: `${this.#name} ${this.#random.next()}` });
  }
}
