import assert from 'node:assert/strict';
import { readdirSync, readlinkSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

/**
 * The number of open files and sockets of this process, or of open files below `folder`. Database files do not count: SQLite may
 * open them at any time, and delays closing them while another connection has locks.
 */
export function openDescriptors(folder = ''): number {
  return readdirSync('/proc/self/fd')
    .map(targetOf)
    .filter((target) => target.startsWith(folder) && !/berth\.db/.test(target)).length;
}

function targetOf(fd: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    // The descriptor of the listing itself.
    return '';
  }
}

/** Waits until at most `baseline` descriptors are open: a request closes its files soon after its answer, not before. */
export async function descriptorsBackTo(baseline: number, folder?: string): Promise<void> {
  const back = await eventually(() => openDescriptors(folder) <= baseline);
  assert.ok(back, `${openDescriptors(folder)} descriptors are open, more than the ${baseline} before`);
}

/** Polls until `holds` is true, for conditions without an event; false after `milliseconds`. */
export async function eventually(
  holds: () => boolean | Promise<boolean>,
  milliseconds = 5_000,
): Promise<boolean> {
  const deadline = performance.now() + milliseconds;
  while (!(await holds())) {
    if (performance.now() > deadline) return false;
    await delay(10);
  }
  return true;
}
