import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { cleanUp } from './cleanup.ts';

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A process that runs during a test and is always killed after it. */
export interface Child {
  readonly pid: number;
  /** The match of `ready` in the output. */
  readonly ready: RegExpExecArray;
  /** Its output so far, stdout and stderr interleaved. */
  output(): string;
  /** Sends the signal and waits for the process to end. */
  stop(signal?: NodeJS.Signals): Promise<Exit>;
  readonly exited: Promise<Exit>;
}

export interface ChildOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  /** The child is ready once this matches its output. */
  readonly ready: RegExp;
}

const startLimit = 30_000;
const running = new Set<ChildProcess>();

// A test file that is stopped early (a timeout, Ctrl-C) runs no `after` hooks; its children must end too.
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export async function startChild(t: TestContext, options: ChildOptions): Promise<Child> {
  const child = spawn(options.command, options.args, { env: options.env, stdio: ['ignore', 'pipe', 'pipe'] });
  running.add(child);
  const exited = once(child, 'close').then(([code, signal]): Exit => {
    running.delete(child);
    return { code, signal };
  });
  cleanUp(t, async () => {
    child.kill('SIGKILL');
    await exited;
  });
  let output = '';
  const ready = await new Promise<RegExpExecArray>((resolve, reject) => {
    const fail = (what: string) => reject(new Error(`${options.command} ${what}; its output:\n${output}`));
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text;
        const match = options.ready.exec(output);
        if (match) resolve(match);
      });
    }
    child.once('error', reject);
    exited.then((exit) => fail(`ended with ${exit.signal ?? exit.code} before it was ready`), reject);
    delay(startLimit, undefined, { ref: false }).then(() => fail(`was not ready after ${startLimit} ms`));
  });
  return {
    pid: child.pid!,
    ready,
    output: () => output,
    stop(signal = 'SIGTERM') {
      child.kill(signal);
      return exited;
    },
    exited,
  };
}
