// Secrets that can be told from everything else, and what was found of them where nobody should find one.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';

export class Canaries {
  readonly #planted = new Map<string, string>();
  readonly #places = new Map<string, Buffer>();

  /** A secret: letters and digits, which nothing has a reason to encode. */
  plant(what: string): string {
    const secret = `canary${randomBytes(12).toString('hex')}`;
    this.#planted.set(secret, what);
    return secret;
  }

  /** A secret that somebody else has made, such as the registry. */
  learn(what: string, secret: string): void {
    assert.ok(secret.length >= 20, `${what} is too short to be told from anything else`);
    this.#planted.set(secret, what);
  }

  /** A secret that was planted before. */
  planted(what: string): string | undefined {
    return [...this.#planted].find(([, other]) => other === what)?.[0];
  }

  /** The value of an Authorization header with a planted password. */
  basic(user: string, what: string): string {
    const encoded = Buffer.from(`${user}:${this.planted(what) ?? this.plant(what)}`).toString('base64');
    this.#planted.set(encoded, `${what}, as it was sent`);
    return `Basic ${encoded}`;
  }

  /** Remembers something that somebody else can read. */
  saw(place: string, content: string | Buffer): void {
    const before = this.#places.get(place);
    const after = Buffer.from(content);
    this.#places.set(place, before === undefined ? after : Buffer.concat([before, after]));
  }

  /** Every file below a directory. */
  async sawFiles(directory: string): Promise<void> {
    for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
      const path = join(entry.parentPath, entry.name);
      if (entry.isFile()) this.saw(path, await readFile(path));
    }
  }

  /** Which secret is readable in which place. */
  found(): string[] {
    return [...this.#places].flatMap(([place, content]) =>
      [...this.#planted].flatMap(([secret, what]) =>
        content.includes(secret) ? [`${what} in ${place}`] : [],
      ),
    );
  }

  /** Fails when a secret was found, or when nothing was looked at. */
  assertHidden(...places: readonly RegExp[]): void {
    assert.deepEqual(this.found(), []);
    for (const wanted of places) {
      const content = [...this.#places].find(([place, content]) => wanted.test(place) && content.length > 0);
      assert.ok(content, `nothing was seen of ${wanted}`);
    }
  }
}

/** A client that remembers all that it is answered. */
export class Visitor {
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
    this.#canaries.saw(
      `the answer to ${method} ${path.replace(/\?.*/, '')}`,
      `${answer.status} ${JSON.stringify([...answer.headers])} ${text}`,
    );
    return answer;
  }

  get origin(): string {
    return new URL(this.#url).origin;
  }

  /** Sends what is answered with secrets, which are told from then on; of a token by its signature too. */
  async take(
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
    if (Object.keys(taken).length === 0) this.#canaries.saw(`the answer to ${method} ${path}`, text);
    return taken;
  }

  /** What no client library would send. */
  async sendRaw(what: string, request: string): Promise<void> {
    const { hostname, port } = new URL(this.#url);
    const socket = connect(Number(port), hostname);
    socket.on('data', (chunk: Buffer) => this.#canaries.saw(`the answer to ${what}`, chunk));
    // Berth hangs up on some of them before it has read them all.
    socket.on('error', () => {});
    socket.end(request);
    await new Promise((resolve) => socket.once('close', resolve));
  }
}
