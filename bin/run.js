// Runs src/main.ts, with the Node version that bin/berth.js has found.
import { fileURLToPath } from 'node:url';
import './quick-start.js';

try {
  // Imported last, when the cache is enabled.
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
