// Canaries: recognisable secrets, and a search for them in everything that other people can read.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';

export class Canaries {
  readonly #planted = new Map<string, string>();
  readonly #places = new Map<string, Buffer>();

  /** Makes a secret of letters and digits, which no encoding changes. */
  plant(what: string): string {
    const secret = `canary${randomBytes(12).toString('hex')}`;
    this.#planted.set(secret, what);
    return secret;
  }

  /** Adds a secret that was made elsewhere, for example by the registry. */
  learn(what: string, secret: string): void {
    assert.ok(secret.length >= 20, `${what} is too short to be unique`);
    this.#planted.set(secret, what);
  }

  /** The planted secret with this description. */
  planted(what: string): string | undefined {
    return [...this.#planted].find(([, other]) => other === what)?.[0];
  }

  /** The value of an Authorization header with a planted password. */
  basic(user: string, what: string): string {
    const encoded = Buffer.from(`${user}:${this.planted(what) ?? this.plant(what)}`).toString('base64');
    this.#planted.set(encoded, `${what}, base64-encoded`);
    return `Basic ${encoded}`;
  }

  /** Records content that other people can read. */
  record(place: string, content: string | Buffer): void {
    const before = this.#places.get(place);
    const after = Buffer.from(content);
    this.#places.set(place, before === undefined ? after : Buffer.concat([before, after]));
  }

  /** Records every file below a directory. */
  async recordFiles(directory: string): Promise<void> {
    for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
      const path = join(entry.parentPath, entry.name);
      if (entry.isFile()) this.record(path, await readFile(path));
    }
  }

  /** The secrets found, as `SECRET in PLACE`. */
  found(): string[] {
    return [...this.#places].flatMap(([place, content]) =>
      [...this.#planted].flatMap(([secret, what]) =>
        content.includes(secret) ? [`${what} in ${place}`] : [],
      ),
    );
  }

  /** Fails if a secret was found, or if one of `places` has no recorded content. */
  assertHidden(...places: readonly RegExp[]): void {
    assert.deepEqual(this.found(), []);
    for (const wanted of places) {
      const content = [...this.#places].find(([place, content]) => wanted.test(place) && content.length > 0);
      assert.ok(content, `no content was recorded for ${wanted}`);
    }
  }
}

/** A client that records every answer. */
export class RecordingClient {
  readonly #url: string;
  readonly #canaries: Canaries;

  constructor(url: string, canaries: Canaries) {
    this.#url = url;
    this.#canaries = canaries;
  }

  async send(
    method: string,
    path: string,
    headers: Record<string, string> = {},
    body?: string | URLSearchParams,
  ): Promise<Response> {
    const answer = await fetch(`${this.#url}${path}`, {
      method,
      headers,
      redirect: 'manual',
      ...(body !== undefined && { body }),
    });
    const text = await answer.clone().text();
    this.#canaries.record(
      `the answer to ${method} ${path.replace(/\?.*/, '')}`,
      `${answer.status} ${JSON.stringify([...answer.headers])} ${text}`,
    );
    return answer;
  }

  get origin(): string {
    return new URL(this.#url).origin;
  }

  /** Sends a request whose answer has secrets, and adds them to the canaries; of a token, also its signature. */
  async sendForSecrets(
    method: string,
    path: string,
    headers: Record<string, string> = {},
    body?: URLSearchParams,
  ): Promise<Readonly<Record<string, string>>> {
    const answer = await fetch(`${this.#url}${path}`, {
      method,
      headers,
      redirect: 'manual',
      ...(body !== undefined && { body }),
    });
    const text = await answer.text();
    const taken: Record<string, string> = {};
    if (answer.headers.get('content-type')?.includes('json')) {
      for (const [name, value] of Object.entries(JSON.parse(text))) {
        if (/token$/.test(name) && typeof value === 'string') taken[name] = value;
      }
    }
    const [cookie] = answer.headers.get('set-cookie')?.split(';') ?? [];
    if (cookie !== undefined) taken.cookie = cookie;
    for (const [name, value] of Object.entries(taken)) {
      this.#canaries.learn(`the ${name} of ${path}`, value.split('=').at(-1) as string);
      const [, , signature] = value.split('.');
      if (signature) this.#canaries.learn(`the signature of the ${name} of ${path}`, signature);
    }
    if (Object.keys(taken).length === 0) this.#canaries.record(`the answer to ${method} ${path}`, text);
    return taken;
  }

  /** Sends bytes that no client library would send. */
  async sendRaw(what: string, request: string): Promise<void> {
    const { hostname, port } = new URL(this.#url);
    const socket = connect(Number(port), hostname);
    socket.on('data', (chunk: Buffer) => this.#canaries.record(`the answer to ${what}`, chunk));
    // Berth closes the connection of some of these requests before it has read them completely.
    socket.on('error', () => {});
    socket.end(request);
    await new Promise((resolve) => socket.once('close', resolve));
  }
}
