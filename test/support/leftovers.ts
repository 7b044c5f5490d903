import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';

const grace = 2000;

/**
 * Kills what still runs with `mark` in its environment, and names it. A process that was killed a moment ago is given
 * the time to go. Where there is no /proc, nothing is found.
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
    // Other people's processes cannot be read, and any of them may end meanwhile.
    const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
    if (!environment.includes(mark)) continue;
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    found.push({ pid, command: command.replaceAll('\0', ' ').trim() });
  }
  return found;
}
