import http from 'node:http';

export interface Reply {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface RequestOptions {
  readonly headers?: http.OutgoingHttpHeaders;
  /** Bytes sent whole, or a function that writes them and ends the request itself. */
  readonly body?: Buffer | ((request: http.ClientRequest) => void);
  /** Any other status is an error: a benchmark of refusals measures nothing. */
  readonly expect: number;
}

export function basicAuthorization(name: string, password: string): string {
  return `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`;
}

/** A client of any OCI registry, with keep-alive connections. Several replicas take turns, request by request. */
export class RegistryClient implements Disposable {
  readonly #agent = new http.Agent({ keepAlive: true, maxSockets: 256 });
  readonly #bases: readonly string[];
  #turn = 0;
  /** The Authorization header of every request, for a registry that requires a login. */
  authorization: string | undefined;

  constructor(...bases: readonly string[]) {
    this.#bases = bases;
  }

  /** Resolves a URL that may be relative to the registry. */
  resolve(location: string): URL {
    const base = this.#bases[this.#turn]!;
    this.#turn = (this.#turn + 1) % this.#bases.length;
    return new URL(location, base);
  }

  request(method: string, location: string | URL, options: RequestOptions): Promise<Reply> {
    const { promise, resolve, reject } = Promise.withResolvers<Reply>();
    const { body, expect } = options;
    const { authorization } = this;
    const headers = { ...options.headers, ...(authorization !== undefined && { authorization }) };
    const url = typeof location === 'string' ? this.resolve(location) : location;
    const request = http.request(url, { method, agent: this.#agent, headers });
    request.on('error', reject);
    request.on('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const reply = {
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(chunks),
        };
        if (reply.status === expect) return resolve(reply);
        const text = reply.body.toString().slice(0, 300);
        reject(new Error(`${method} ${location}: ${reply.status}, not ${expect}: ${text}`));
      });
    });
    if (typeof body === 'function') body(request);
    else request.end(body);
    return promise;
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }
}
