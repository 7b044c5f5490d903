import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';
import { RegistryError } from '../oci/errors.ts';
import { membership, type Network } from './networks.ts';

export interface ConnectionLimitsParts {
  readonly maxConnections: number;
  readonly connectionsPerNetwork: number;
  /** Each brings the connections of many clients, and is limited by `maxConnections` alone. */
  readonly trustedProxies: readonly Network[];
  /** What one client can have all addresses of. */
  readonly networkOf: (address: string) => string;
}

/** Connections beyond the limits that may be open at once. */
const reserve = 64;

/**
 * Limits the connections that are open at once, of all clients and of one network. A few more are taken all the same, so that health
 * and metrics can be asked for: other requests are refused on them, they end after one, and the oldest of them gives way to the next.
 */
export class ConnectionLimits {
  readonly #parts: ConnectionLimitsParts;
  readonly #isProxy: (address: string) => boolean;
  #open = 0;
  readonly #networks = new Map<string, number>();
  /** By the client's address and port, which are known of a TLS socket too; the oldest first. */
  readonly #excess = new Map<string, { readonly socket: Socket; readonly refusal: RegistryError }>();

  constructor(parts: ConnectionLimitsParts) {
    this.#parts = parts;
    this.#isProxy = membership(parts.trustedProxies);
  }

  /** Counts the connections of a server, TLS or not, from the moment they are accepted. */
  count(server: Server): void {
    server.prependListener('connection', (socket: Socket) => this.#accept(socket));
  }

  /** What a request is told that came on a connection beyond the limits: `TOOMANYREQUESTS` or `UNAVAILABLE`. */
  refusalOf({ socket }: IncomingMessage): RegistryError | undefined {
    return this.#excess.size === 0 ? undefined : this.#excess.get(peerOf(socket))?.refusal;
  }

  #accept(socket: Socket): void {
    const { maxConnections, connectionsPerNetwork, networkOf } = this.#parts;
    const { remoteAddress } = socket;
    // Closed again before it was seen.
    if (remoteAddress === undefined) return;
    const network = this.#isProxy(remoteAddress) ? undefined : networkOf(remoteAddress);
    const ofNetwork = network === undefined ? 0 : (this.#networks.get(network) ?? 0);
    if (this.#open >= maxConnections) {
      this.#exceed(socket, new RegistryError('UNAVAILABLE', 'too many connections are open'));
    } else if (ofNetwork >= connectionsPerNetwork) {
      const text = `connections of this network: at most ${connectionsPerNetwork} at once`;
      this.#exceed(socket, new RegistryError('TOOMANYREQUESTS', text));
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

  #exceed(socket: Socket, refusal: RegistryError): void {
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
