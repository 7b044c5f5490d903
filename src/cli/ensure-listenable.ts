import { once } from 'node:events';
import { createServer } from 'node:net';
import type { ListenAddress } from '../config/address.ts';

/**
 * Listens on each address for a moment, so that one that cannot be had is told before a directory or a database is made.
 *
 * @throws as a server's own `listen` does
 */
export async function ensureListenable(addresses: readonly ListenAddress[]): Promise<void> {
  for (const { host, port } of addresses) {
    const server = createServer((socket) => socket.destroy());
    server.listen({ host, port });
    await once(server, 'listening');
    server.close();
    await once(server, 'close');
  }
}
