import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';
import { RegistryError } from '../oci/errors.ts';
import { membership, type Network } from './networks.ts';

export interface ConnectionLimitsParts {
  readonly maxConnections: number;
  readonly connectionsPerNetwork: number;
  /** A proxy carries the connections of many clients, so only `maxConnections` limits it. */
  readonly trustedProxies: readonly Network[];
  /** The network of an address: one client may own all addresses of it. */
  readonly networkOf: (address: string) => string;
}

/** Connections that may be open at once beyond the limits. */
const reserve = 64;

/**
 * Limits the open connections, in total and per network. Beyond the limits it accepts a few excess connections, so that health and
 * metrics stay available. Such a connection ends after one request, which is refused unless it is for health or metrics. A new
 * excess connection replaces the oldest one.
 */
export class ConnectionLimits {
  readonly #parts: ConnectionLimitsParts;
  readonly #isProxy: (address: string) => boolean;
  #open = 0;
  readonly #networks = new Map<string, number>();
  /** Keyed by the client's address and port, which a TLS socket has too; the oldest first. */
  readonly #excess = new Map<string, { readonly socket: Socket; readonly refusal: RegistryError }>();

  constructor(parts: ConnectionLimitsParts) {
    this.#parts = parts;
    this.#isProxy = membership(parts.trustedProxies);
  }

  /** Counts the connections of a server, TLS or not, from when they are accepted. */
  count(server: Server): void {
    server.prependListener('connection', (socket: Socket) => this.#accept(socket));
  }

  /** The error for a request on a connection beyond the limits: `TOOMANYREQUESTS` or `UNAVAILABLE`. */
  refusalOf({ socket }: IncomingMessage): RegistryError | undefined {
    return this.#excess.size === 0 ? undefined : this.#excess.get(peerOf(socket))?.refusal;
  }

  #accept(socket: Socket): void {
    const { maxConnections, connectionsPerNetwork, networkOf } = this.#parts;
    const { remoteAddress } = socket;
    // The connection is already closed.
    if (remoteAddress === undefined) return;
    const network = this.#isProxy(remoteAddress) ? undefined : networkOf(remoteAddress);
    const ofNetwork = network === undefined ? 0 : (this.#networks.get(network) ?? 0);
    if (this.#open >= maxConnections) {
      this.#acceptExcess(socket, new RegistryError('UNAVAILABLE', 'too many connections are open'));
    } else if (ofNetwork >= connectionsPerNetwork) {
      const text = `a network may have at most ${connectionsPerNetwork} connections at once`;
      this.#acceptExcess(socket, new RegistryError('TOOMANYREQUESTS', text));
    } else {
      this.#open += 1;
      if (network !== undefined) this.#networks.set(network, ofNetwork + 1);
      socket.once('close', () => this.#release(network));
    }
  }

  #release(network: string | undefined): void {
    this.#open -= 1;
    if (network === undefined) return;
    const left = (this.#networks.get(network) as number) - 1;
    if (left === 0) this.#networks.delete(network);
    else this.#networks.set(network, left);
  }

  #acceptExcess(socket: Socket, refusal: RegistryError): void {
    const [oldest] = this.#excess;
    if (oldest !== undefined && this.#excess.size >= reserve) {
      this.#excess.delete(oldest[0]);
      oldest[1].socket.destroy();
    }
    const peer = peerOf(socket);
    this.#excess.set(peer, { socket, refusal });
    socket.once('close', () => {
      if (this.#excess.get(peer)?.socket === socket) this.#excess.delete(peer);
    });
  }
}

function peerOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}
