import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';

const grace = 2000;

/**
 * Kills processes that still run with `mark` in their environment, and returns their names. Waits for processes that were just
 * killed. Without /proc it finds nothing.
 */
export async function endLeftovers(mark: string): Promise<string[]> {
  const deadline = performance.now() + grace;
  let found = await findMarked(mark);
  while (found.length > 0 && performance.now() < deadline) {
    await delay(100);
    found = await findMarked(mark);
  }
  for (const { pid } of found) process.kill(pid, 'SIGKILL');
  return found.map(({ pid, command }) => `${pid} ${command}`);
}

async function findMarked(mark: string): Promise<{ pid: number; command: string }[]> {
  const pids = (await readdir('/proc').catch(() => []))
    .map(Number)
    .filter((pid) => pid > 0 && pid !== process.pid);
  const found = [];
  for (const pid of pids) {
    // Other users' processes cannot be read, and any process may end meanwhile.
    const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
    if (!environment.includes(mark)) continue;
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    found.push({ pid, command: command.replaceAll('\0', ' ').trim() });
  }
  return found;
}
