import { cpus, release, totalmem } from 'node:os';
import { run } from './process.ts';

const VERSION_LIMIT_SECONDS = 10;
const GIB = 1024 ** 3;

/** Everything that a figure depends on besides the code. */
export async function describeMachine(disk: string, tmpfs: string, signal: AbortSignal): Promise<string[]> {
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
    `Node ${process.version}`,
    await ask('docker-registry', '--version'),
    await ask('nginx', '-v'),
    // `wrk -v` prints its usage too, and exits with 1.
    (await ask('sh', '-c', 'wrk -v || true')).split(' [')[0]!,
  ];
}
