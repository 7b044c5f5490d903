import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

export interface RawResponse {
  readonly status: number;
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

const headEnd = Buffer.from('\r\n\r\n');

/** A connection on which a test controls each byte: half a body, two requests at once, or nothing at all. */
export class RawConnection {
  readonly socket: Socket;
  /** Resolves when the connection has closed, also by a reset. */
  readonly closed: Promise<void>;
  #received: Buffer[] = [];
  #size = 0;
  /** The number of bytes of the complete answer; a lower bound until its head is parsed. */
  #wanted = 0;
  #open = true;
  #wake = (): void => {};

  private constructor(socket: Socket) {
    this.socket = socket;
    // A reset also ends in `close`.
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      this.#received.push(chunk);
      this.#size += chunk.length;
      if (this.#size >= this.#wanted) this.#wake();
    });
    socket.on('end', () => this.#wake());
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        this.#open = false;
        this.#wake();
        resolve();
      });
    });
  }

  /** @param localAddress an address of this machine to connect from */
  static async to(url: string, localAddress?: string): Promise<RawConnection> {
    const { protocol, hostname, port } = new URL(url);
    const from = localAddress === undefined ? {} : { localAddress };
    const to = { host: hostname, port: Number(port), noDelay: true, ...from };
    const secure = protocol === 'https:';
    const socket = secure ? connectTls({ ...to, rejectUnauthorized: false }) : connect(to);
    const connection = new RawConnection(socket);
    await once(socket, secure ? 'secureConnect' : 'connect');
    return connection;
  }

  get isOpen(): boolean {
    return this.#open;
  }

  send(data: string | Buffer): void {
    this.socket.write(data);
  }

  /** Sends the head of a request; the caller gives `Content-Length` and the like. */
  request(method: string, path: string, headers: Record<string, string | number> = {}): void {
    const lines = Object.entries({ host: 'registry.test', ...headers }).map(
      ([name, value]) => `${name}: ${value}`,
    );
    this.send(`${method} ${path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`);
  }

  /** The next answer, also an informational one (100); `undefined` if the connection ends before it is complete. */
  async response(options: { head?: boolean } = {}): Promise<RawResponse | undefined> {
    for (;;) {
      const response = this.#parse(options.head ?? false);
      if (response !== undefined) return response;
      if (!this.#open || this.socket.readableEnded) return undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  destroy(): void {
    this.socket.destroy();
  }

  #parse(isHead: boolean): RawResponse | undefined {
    const received = Buffer.concat(this.#received);
    this.#received = [received];
    const end = received.indexOf(headEnd);
    if (end === -1) return undefined;
    const [first = '', ...lines] = received.subarray(0, end).toString('latin1').split('\r\n');
    const headers = Object.fromEntries(
      lines.map((line) => {
        const colon = line.indexOf(':');
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
      }),
    );
    const start = end + headEnd.length;
    const length = isHead ? 0 : Number(headers['content-length'] ?? 0);
    this.#wanted = start + length;
    if (received.length < this.#wanted) return undefined;
    this.#received = [received.subarray(this.#wanted)];
    this.#size -= this.#wanted;
    this.#wanted = 0;
    return { status: Number(first.split(' ')[1]), headers, body: received.subarray(start, start + length) };
  }
}
