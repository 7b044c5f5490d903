import type { Server } from 'node:http';
import type { RawHandler } from './server.ts';

/** Counts the requests that are being answered, so that a shutdown can wait for them. */
export class InFlight {
  #count = 0;
  #draining = false;
  #idle: (() => void) | undefined;

  get draining(): boolean {
    return this.#draining;
  }

  around(handler: RawHandler): RawHandler {
    return async (request, response, requestId) => {
      this.#count += 1;
      // Whoever is still connected goes elsewhere with the next request.
      if (this.#draining) response.shouldKeepAlive = false;
      try {
        await handler(request, response, requestId);
      } finally {
        this.#count -= 1;
        if (this.#count === 0) this.#idle?.();
      }
    };
  }

  /** Stops accepting connections; resolves when the running requests have ended or `timeout` milliseconds are over. */
  async drain(server: Server, timeout: number): Promise<void> {
    this.#draining = true;
    if (server.listening) server.close();
    server.closeIdleConnections();
    if (this.#count > 0) {
      const idle = new Promise<void>((resolve) => {
        this.#idle = resolve;
      });
      const limit = new Promise<void>((resolve) => setTimeout(resolve, timeout).unref());
      await Promise.race([idle, limit]);
    }
    server.closeAllConnections();
  }
}
