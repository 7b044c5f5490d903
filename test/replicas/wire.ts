import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { Transform } from 'node:stream';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { cleanUp } from '../support/cleanup.ts';

/**
 * How a wire treats its connections. `open`: bytes pass. `silent`: connections are accepted, and no byte passes either way.
 * `unavailable`: every HTTP request is answered 503. `cut`: each connection breaks after some bytes.
 */
export type WireState = 'open' | 'silent' | 'unavailable' | 'cut';

/** The answer of an overloaded S3 service. */
const unavailable = [
  'HTTP/1.1 503 Slow Down',
  'Content-Type: application/xml',
  'Connection: close',
  '',
  '<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>',
].join('\r\n');

/** Milliseconds in which a refused client can read the answer while it still sends. */
const refusalLasts = 1_000;

export interface WireOptions {
  /** The server behind it: `127.0.0.1:PORT`. */
  readonly target: string;
  /** The number of bytes, in both directions together, after which a connection breaks in the state `cut`. */
  readonly cutAfter?: () => number;
}

/** A TCP proxy whose connections a test can disturb. */
export class Wire {
  /** `127.0.0.1:PORT` */
  readonly host: string;
  /** How many connections were broken. */
  cuts = 0;
  readonly #options: Required<WireOptions>;
  readonly #relayed = new Set<Socket>();
  #state: WireState = 'open';
  #opened = Promise.withResolvers<void>();

  private constructor(host: string, options: WireOptions) {
    this.host = host;
    this.#options = { cutAfter: () => 64 << 10, ...options };
    this.#opened.resolve();
  }

  static async start(t: TestContext, options: WireOptions): Promise<Wire> {
    const server = createServer({ allowHalfOpen: true }, (client) => wire.#accept(client));
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const wire = new Wire(`127.0.0.1:${(server.address() as AddressInfo).port}`, options);
    cleanUp(t, () => {
      wire.set('open');
      wire.#breakAll();
      server.close();
    });
    return wire;
  }

  /** `unavailable` and `cut` break the connections; `silent` holds their bytes until the next state is set. */
  set(state: WireState): void {
    if (this.#state === 'silent') this.#opened.resolve();
    if (state === 'silent') this.#opened = Promise.withResolvers();
    else if (state !== 'open') this.#breakAll();
    this.#state = state;
  }

  #accept(client: Socket): void {
    client.on('error', () => {});
    if (this.#state === 'unavailable') return void refuse(client);
    const { hostname, port } = new URL(`http://${this.#options.target}`);
    // Each side ends when the other has sent everything, so that bytes in transit still arrive.
    const server = connect({ port: Number(port), host: hostname, allowHalfOpen: true });
    server.on('error', () => {});
    let left = this.#state === 'cut' ? this.#options.cutAfter() : Infinity;
    const relay = () =>
      new Transform({
        transform: async (chunk: Buffer, _encoding, pass) => {
          await this.#opened.promise;
          left -= chunk.length;
          if (left >= 0 || this.#state !== 'cut') return pass(null, chunk);
          this.cuts += 1;
          left = Infinity;
          client.resetAndDestroy();
          server.resetAndDestroy();
          pass();
        },
      });
    for (const [from, to] of [[client, server] as const, [server, client] as const]) {
      this.#relayed.add(from);
      from.pipe(relay()).pipe(to);
      from.on('close', () => {
        this.#relayed.delete(from);
        if (!from.readableEnded) to.destroy();
      });
    }
  }

  #breakAll(): void {
    for (const socket of this.#relayed) socket.destroy();
  }
}

async function refuse(client: Socket): Promise<void> {
  await once(client, 'data').catch(() => {});
  client.resume().end(unavailable);
  await delay(refusalLasts, undefined, { ref: false });
  client.destroy();
}
