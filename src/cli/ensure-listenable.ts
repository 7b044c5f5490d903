import { once } from 'node:events';
import { createServer } from 'node:net';
import type { ListenAddress } from '../config/address.ts';

/**
 * Listens on each address briefly, to report an unusable one before a directory or database is created.
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
