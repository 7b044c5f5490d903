import assert from 'node:assert/strict';
import { readdirSync, readlinkSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

/**
 * Files and sockets that this process has open, or only the files below `folder`. Those of databases are not counted: SQLite
 * opens its own when it likes, and puts off closing them while another connection has locks.
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
    // The listing's own.
    return '';
  }
}

/** Resolves when no more are open than `baseline`: what a request opened is closed soon after its answer, not before. */
export async function descriptorsBackTo(baseline: number, folder?: string): Promise<void> {
  const back = await eventually(() => openDescriptors(folder) <= baseline);
  assert.ok(back, `${openDescriptors(folder)} descriptors are open, there were ${baseline}`);
}

/** Whether `holds` comes to be true; for what has no event to wait for. */
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
