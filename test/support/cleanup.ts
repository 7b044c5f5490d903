import type { TestContext } from 'node:test';

const stacks = new WeakMap<TestContext, AsyncDisposableStack>();

/**
 * Runs `action` after the test, last come first served, and all of them even when one throws. (`t.after` alone runs
 * them in the order they were given: a directory would go before the process that writes to it.)
 */
export function cleanUp(t: TestContext, action: () => unknown): void {
  let stack = stacks.get(t);
  if (!stack) {
    const created = new AsyncDisposableStack();
    stacks.set(t, created);
    t.after(() => created.disposeAsync());
    stack = created;
  }
  stack.defer(async () => void (await action()));
}
