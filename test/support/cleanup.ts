import type { TestContext } from 'node:test';

const stacks = new WeakMap<TestContext, AsyncDisposableStack>();

/**
 * Runs `action` after the test, in reverse order of registration, and all of them even when one throws. (`t.after` runs
 * them in order of registration: a directory would be deleted before the process that writes to it has ended.)
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
