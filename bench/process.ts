import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

/** Kernel ticks a second in /proc: USER_HZ, 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;
const KIB_PER_MIB = 1024;

export interface RunLimits {
  readonly signal: AbortSignal;
  readonly seconds: number;
}

/** Runs a program to its end; returns its output. Rejects at the time limit, a failed exit or the signal. */
export async function run(command: string, args: readonly string[], limits: RunLimits): Promise<string> {
  const { stdout, stderr } = await promisify(execFile)(command, args, {
    signal: limits.signal,
    timeout: limits.seconds * 1000,
  });
  return stdout + stderr;
}

/** CPU seconds so far of a process and its children, also of ended ones, because nginx serves in a child. */
export async function cpuSeconds(pid: number): Promise<number> {
  let ticks = 0;
  for (const member of await processTree(pid)) ticks += member.ticks;
  return ticks / TICKS_PER_SECOND;
}

/** The peak resident memory, including living children. */
export async function peakResidentMib(pid: number): Promise<number> {
  let kib = 0;
  for (const member of await processTree(pid)) {
    const status = await readFile(`/proc/${member.pid}/status`, 'utf8');
    kib += Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1]);
  }
  return kib / KIB_PER_MIB;
}

interface ProcessStat {
  readonly pid: number;
  readonly parent: number;
  readonly ticks: number;
}

async function processTree(root: number): Promise<ProcessStat[]> {
  const pids = (await readdir('/proc')).filter((entry) => /^\d+$/.test(entry));
  const all = (await Promise.all(pids.map(readStat))).filter((stat) => stat !== undefined);
  const tree = all.filter((stat) => stat.pid === root);
  for (const member of tree) tree.push(...all.filter((stat) => stat.parent === member.pid));
  return tree;
}

/** `undefined` if the process ended between the listing and the read. */
async function readStat(pid: string): Promise<ProcessStat | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  // proc(5): the second field is the name in parentheses, which may hold spaces; `state` follows it.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const [user, system, childrenUser, childrenSystem] = fields.slice(11, 15).map(Number);
  const ticks = user! + system! + childrenUser! + childrenSystem!;
  return { pid: Number(pid), parent: Number(fields[1]), ticks };
}
