// Runs src/main.ts, in a Node that can: bin/berth.js finds one.
import { fileURLToPath } from 'node:url';
import './quick-start.js';

try {
  // Only now, when the cache is there.
  await import('../src/main.ts');
} catch (thrown) {
  const error = /** @type {NodeJS.ErrnoException} */ (thrown);
  const missing = error.code === 'ERR_MODULE_NOT_FOUND' && /^Cannot find package '(.+?)'/.exec(error.message);
  if (!missing) throw thrown;
  const folder = fileURLToPath(new URL('..', import.meta.url)).slice(0, -1);
  process.stderr.write(
    `berth: the package ${missing[1]} is not installed: run \`npm install\` in ${folder}\n`,
  );
  process.exitCode = 1;
}
