import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const execute = promisify(execFile);

/** Milliseconds; a build of an image with `npm ci` takes two minutes on a busy machine. */
const timeLimit = 4 * 60_000;

/** Runs a command to its end, with `input` on its stdin, and returns its stdout. @throws Error with all output when it fails */
export async function run(
  command: string,
  args: readonly string[],
  {
    input,
    ...options
  }: { readonly env?: NodeJS.ProcessEnv; readonly cwd?: string; readonly input?: string } = {},
): Promise<string> {
  try {
    const running = execute(command, args, { ...options, timeout: timeLimit, maxBuffer: 64 << 20 });
    if (input !== undefined) running.child.stdin?.end(input);
    return (await running).stdout;
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
    throw new Error(`${command} ${args.join(' ')} failed\n${stdout}${stderr}`, { cause: error });
  }
}
