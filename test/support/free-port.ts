import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';

/**
 * A free port of an address of 127.0.0.0/8, for a program that needs a given port, or restarts on the same one. Clients connect from
 * 127.0.0.1, so on other addresses their connections cannot occupy the port while no server listens on it.
 */
export async function freePort(address = '127.0.0.1'): Promise<number> {
  const server = createServer();
  await once(server.listen(0, address), 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
