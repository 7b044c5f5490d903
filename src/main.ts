// argv → a command of cli/.
import { constants } from 'node:os';
import { setImmediate } from 'node:timers/promises';
import '../bin/quick-start.js';
import { nodeProblem } from '../bin/node-version.js';

const problem = nodeProblem(process.versions.node);
if (problem) {
  process.stderr.write(`berth: ${problem}\n`);
  process.exit(1);
}

// Whoever reads may have enough (`| head`): that ends a program quietly, with 128 and the number of SIGPIPE, which Node ignores.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit(128 + constants.signals.SIGPIPE);
  });
}

// Loaded only now, when the cache is there; and an older Node would stop at the first thing it lacks, with a riddle for a message.
const { run } = await import('./cli/program.ts');
const exitCode = await run(process.argv.slice(2), {
  env: process.env,
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
  input: process.stdin,
  terminal: process.stderr.isTTY === true,
});
// What became of the last write is told a moment after it.
await setImmediate();
process.exit(exitCode);
