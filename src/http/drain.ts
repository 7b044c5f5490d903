import type { Server } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import type { RawHandler } from './server.ts';

/** Milliseconds that the handler of a request whose connection was cut may go on; a disk that hangs must not keep the process. */
const afterCut = 5_000;

/** The end of a listener: what runs may end, nothing new begins. */
export class Drain {
  #begun = false;
  #running = 0;
  #idle: (() => void) | undefined;

  get begun(): boolean {
    return this.#begun;
  }

  around(handler: RawHandler): RawHandler {
    return (request, response, requestId) => {
      // Whoever is still connected goes elsewhere with the next request.
      if (this.#begun) response.shouldKeepAlive = false;
      this.#running += 1;
      const handled = handler(request, response, requestId);
      handled.then(this.#ended, this.#ended);
      return handled;
    };
  }

  readonly #ended = (): void => {
    this.#running -= 1;
    if (this.#running === 0) this.#idle?.();
  };

  /**
   * Stops accepting connections; resolves when those that carry a request have sent their answer to the end, or are cut after
   * `timeout` milliseconds, and their handlers are done: one that was cut still records how far it came.
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
    if (this.#running === 0) return;
    const handled = new Promise<void>((resolve) => {
      this.#idle = resolve;
    });
    await Promise.race([handled, delay(afterCut, undefined, { ref: false })]);
  }
}
