import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

/** The workers of a primary, by process id. */
export function workersOf(primary: number): number[] {
  const children = readFileSync(`/proc/${primary}/task/${primary}/children`, 'utf8').trim();
  return children.split(' ').filter(Boolean).map(Number);
}

export function isAlive(pid: number): boolean {
  try {
    // A zombie, not yet reaped by its parent, still has a folder.
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

/** Whether the process has a file open whose path contains `part`. */
export function hasOpen(pid: number, part: string): boolean {
  return readdirSync(`/proc/${pid}/fd`).some((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`).includes(part);
    } catch {
      // Closed since the folder was read.
      return false;
    }
  });
}

const limit = 30_000;

/** Polls `look` until it finds something, as events of another process cannot be awaited. */
export async function found<T>(what: string, look: () => T | Promise<T>): Promise<NonNullable<T>> {
  const start = performance.now();
  for (;;) {
    const seen = await look();
    if (seen) return seen;
    if (performance.now() - start > limit) throw new Error(`timed out while waiting for ${what}`);
    await delay(20);
  }
}
