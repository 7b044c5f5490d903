// Makes the start fast; imported before the first TypeScript file. Node 20 lacks these functions.
import { constants, enableCompileCache, registerHooks } from 'node:module';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

// Caches stripped and compiled code for later starts, in the installation or else in the user's home folder. It uses no shared folder,
// because other users could inject code there.
const installed = fileURLToPath(new URL('../node_modules/.cache/berth', import.meta.url));
if (enableCompileCache(installed).status === constants.compileCacheStatus.FAILED) {
  const home = homeFolder();
  if (home) enableCompileCache(join(home, '.cache/berth'));
}

/** Not $HOME, which under `sudo` may be another user's. In a container, the user may have no name. */
function homeFolder() {
  try {
    return userInfo().homedir;
  } catch {
    return undefined;
  }
}

/** Packages of hundreds of modules that import each other by file name, with the extension. */
const manyFiles = /\/node_modules\/(?:kysely|zod)\//;

// Saves Node the lookup of symbolic links and package.json files, a third of the time to load these packages.
registerHooks({
  resolve(specifier, context, nextResolve) {
    const { parentURL = '', conditions } = context;
    if (!specifier.startsWith('.') || !manyFiles.test(parentURL) || !conditions.includes('import')) {
      return nextResolve(specifier, context);
    }
    return { url: new URL(specifier, parentURL).href, format: 'module', shortCircuit: true };
  },
});
