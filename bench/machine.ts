import { randomBytes } from 'node:crypto';
import { open } from 'node:fs/promises';
import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { goTools } from '../test/support/go-tools.ts';
import { findProgram } from '../test/support/needs.ts';
import type { Bench } from './bench.ts';
import { temporaryDirectory } from './directory.ts';
import { MIB } from './load/push.ts';
import { run } from './process.ts';

const VERSION_LIMIT_SECONDS = 10;
const GIB = 1024 ** 3;

/** Everything that a figure depends on besides the code. */
export async function describeMachine(bench: Bench): Promise<string[]> {
  const { disk, tmpfs, signal } = bench;
  const { blobMib } = bench.sizes;
  const ask = async (command: string, ...args: string[]) =>
    (await run(command, args, { signal, seconds: VERSION_LIMIT_SECONDS })).trim();
  const fileSystem = (path: string) => ask('stat', '--file-system', '--format=%T', path);
  const commit = await ask('git', 'describe', '--always', '--dirty');
  const [processor] = cpus();
  return [
    `Date: ${new Date().toISOString().slice(0, 10)}, Berth at ${commit}`,
    `Processor: ${cpus().length} × ${processor?.model}, ${Math.round(totalmem() / GIB)} GiB of memory`,
    `Kernel: Linux ${release()}`,
    `Disk: ${disk} (${await fileSystem(disk)}); memory: ${tmpfs} (${await fileSystem(tmpfs)})`,
    `The disk alone writes and syncs a file of ${blobMib} MiB at ${await diskSpeed(disk, blobMib)} MiB/s`,
    `Node ${process.version}`,
    await ask('docker-registry', '--version'),
    await ask('nginx', '-v'),
    await ask(findProgram('postgres') ?? 'postgres', '--version'),
    `versitygw ${goTools.versitygw.version}`,
    // `wrk -v` prints its usage too, and exits with 1.
    (await ask('sh', '-c', 'wrk -v || true')).split(' [')[0]!,
  ];
}

/** The upper bound of every push to this disk: the same bytes without a registry. */
async function diskSpeed(disk: string, mib: number): Promise<string> {
  await using directory = await temporaryDirectory(disk);
  await using file = await open(join(directory.path, 'file'), 'wx');
  const chunk = randomBytes(MIB);
  const begin = performance.now();
  for (let written = 0; written < mib; written += 1) await file.write(chunk);
  await file.sync();
  return (mib / ((performance.now() - begin) / 1000)).toFixed(0);
}
