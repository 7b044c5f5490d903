import type { Server } from 'node:http';
import type { RawHandler } from './server.ts';

/** The end of a listener: what runs may end, nothing new begins. */
export class Drain {
  #begun = false;

  get begun(): boolean {
    return this.#begun;
  }

  around(handler: RawHandler): RawHandler {
    return (request, response, requestId) => {
      // Whoever is still connected goes elsewhere with the next request.
      if (this.#begun) response.shouldKeepAlive = false;
      return handler(request, response, requestId);
    };
  }

  /**
   * Stops accepting connections; resolves when those that carry a request have sent their answer to the end, or are cut after
   * `timeout` milliseconds.
   */
  async run(server: Server, timeout: number): Promise<void> {
    this.#begun = true;
    if (!server.listening) return;
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    const limit = setTimeout(() => server.closeAllConnections(), timeout);
    // A connection that was busy when this began stays open, idle, when its client sends nothing more.
    const idle = setInterval(() => server.closeIdleConnections(), 100);
    server.closeIdleConnections();
    await closed;
    clearTimeout(limit);
    clearInterval(idle);
  }
}
