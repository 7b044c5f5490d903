// argv → a command of cli/.
import { nodeProblem } from '../bin/node-version.js';

const problem = nodeProblem(process.versions.node);
if (problem) {
  process.stderr.write(`berth: ${problem}\n`);
  process.exit(1);
}

// Loaded only now: an older Node would stop at the first thing it lacks, with a riddle for a message.
const { run } = await import('./cli/program.ts');
process.exit(
  await run(process.argv.slice(2), {
    env: process.env,
    out: (text) => process.stdout.write(text),
    err: (text) => process.stderr.write(text),
  }),
);
