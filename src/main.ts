// Runs the command that the arguments name.
import { constants } from 'node:os';
import { setImmediate } from 'node:timers/promises';
import '../bin/quick-start.js';
import { nodeProblem } from '../bin/node-version.js';

const problem = nodeProblem(process.versions.node);
if (problem) {
  process.stderr.write(`berth: ${problem}\n`);
  process.exit(1);
}

// If the reader has closed the pipe (`| head`), end quietly with 128 plus the number of SIGPIPE, which Node ignores.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit(128 + constants.signals.SIGPIPE);
  });
}

async function ask(question: string): Promise<string> {
  const { createInterface } = await import('node:readline/promises');
  using terminal = createInterface({ input: process.stdin, output: process.stderr });
  const { promise, resolve } = Promise.withResolvers<string>();
  // At Ctrl-C and Ctrl-D it closes without an answer.
  terminal.once('close', () => resolve(''));
  terminal.question(question).then(resolve, () => resolve(''));
  return await promise;
}

// Imported late, to use the compile cache, and because an older Node fails at unknown syntax with an unclear message.
const { run } = await import('./cli/program.ts');
const exitCode = await run(process.argv.slice(2), {
  env: process.env,
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
  input: process.stdin,
  terminal: process.stderr.isTTY === true,
  ...(process.stdin.isTTY && process.stderr.isTTY && { ask }),
});
// Waits one turn of the event loop, in which an error of the last write is reported.
await setImmediate();
process.exit(exitCode);
