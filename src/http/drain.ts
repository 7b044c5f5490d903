import type { Server } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import type { RawHandler } from './server.ts';

/** Milliseconds to wait for handlers after their connections were cut; a hung disk must not keep the process alive. */
const afterCut = 5_000;

/** Shuts a listener down: running requests finish, new connections are refused. */
export class Drain {
  #begun = false;
  #running = 0;
  #idle: (() => void) | undefined;

  get begun(): boolean {
    return this.#begun;
  }

  around(handler: RawHandler): RawHandler {
    return (request, response, requestId) => {
      // The client opens its next connection to another replica.
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
   * Stops accepting connections. Resolves when running requests are answered, or cut after `timeout` milliseconds, and their
   * handlers are done: a handler whose connection was cut still records its progress.
   */
  async run(server: Server, timeout: number): Promise<void> {
    this.#begun = true;
    if (!server.listening) return;
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    const limit = setTimeout(() => server.closeAllConnections(), timeout);
    // A connection that was busy at first becomes idle later, and would stay open.
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
