import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { cleanUp } from '../support/cleanup.ts';

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

/** Starts a command and sends it a signal as soon as `begun` gives true. */
export async function interrupt(
  t: TestContext,
  signal: NodeJS.Signals,
  args: readonly string[],
  begun: () => Promise<boolean>,
): Promise<{ code: number | null; err: string }> {
  const child = spawn(process.execPath, [main, ...args], { env: {}, stdio: ['ignore', 'ignore', 'pipe'] });
  cleanUp(t, () => child.kill('SIGKILL'));
  let err = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  const ended = once(child, 'close');
  while (!(await begun())) {
    assert.equal(child.exitCode, null, `the command ended before it could be interrupted: ${err}`);
    await delay(5);
  }
  child.kill(signal);
  const [code] = await ended;
  return { code, err };
}
