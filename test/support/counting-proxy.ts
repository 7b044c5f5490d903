import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { cleanUp } from './cleanup.ts';

export interface Traffic {
  /** Bytes from the client to the server: request lines, headers and bodies. */
  readonly sent: number;
  readonly received: number;
}

/** A TCP proxy between a client and Berth that counts all bytes of the client. */
export interface CountingProxy {
  /** `127.0.0.1:PORT` */
  readonly host: string;
  /** Counts the bytes while `action` runs. */
  measure(action: () => Promise<unknown>): Promise<Traffic>;
  /** Cuts the connection on which the client exceeds this many bytes, once; the returned function tells whether it has. */
  cutAfter(received: number): () => boolean;
}

export async function startCountingProxy(t: TestContext, target: string): Promise<CountingProxy> {
  const { hostname, port } = new URL(`http://${target}`);
  const total = { sent: 0, received: 0 };
  const sockets = new Set<Socket>();
  let cut: { left: number } | undefined;

  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname);
    for (const [socket, other] of [[client, upstream] as const, [upstream, client] as const]) {
      sockets.add(socket);
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        sockets.delete(socket);
        other.destroySoon(); // bytes in transit still arrive
      });
    }
    client.on('data', (bytes) => {
      total.sent += bytes.length;
    });
    upstream.on('data', (bytes) => {
      total.received += bytes.length;
      if (!cut) return;
      cut.left -= bytes.length;
      if (cut.left > 0) return;
      cut = undefined;
      upstream.destroy();
      client.destroy();
    });
    client.pipe(upstream);
    upstream.pipe(client);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  cleanUp(t, () => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });

  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    async measure(action) {
      const before = { ...total };
      await action();
      return { sent: total.sent - before.sent, received: total.received - before.received };
    },
    cutAfter(received) {
      const armed = { left: received };
      cut = armed;
      return () => armed.left <= 0;
    },
  };
}
