import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';

/**
 * A free port of an address of 127.0.0.0/8, for a program that has to be told one, or that comes back to the one it had. Clients
 * connect from 127.0.0.1, so that on any other address none of their connections takes the port while nobody listens there.
 */
export async function freePort(address = '127.0.0.1'): Promise<number> {
  const server = createServer();
  await once(server.listen(0, address), 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
