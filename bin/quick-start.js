// What makes a start quick; it comes before the first file with types. Node 20 lacks what is imported here.
import { constants, enableCompileCache, registerHooks } from 'node:module';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

// Types are stripped and code is compiled once, and not at each start: kept in the installation, or else in the user's own
// folder. In one that others write to they could put code.
const installed = fileURLToPath(new URL('../node_modules/.cache/berth', import.meta.url));
if (enableCompileCache(installed).status === constants.compileCacheStatus.FAILED) {
  const home = homeFolder();
  if (home) enableCompileCache(join(home, '.cache/berth'));
}

/** Not $HOME, which `sudo` may leave another user's. In a container, nobody may have a name. */
function homeFolder() {
  try {
    return userInfo().homedir;
  } catch {
    return undefined;
  }
}

/** Packages of hundreds of modules, each of which names the others by their files, with the extension. */
const manyFiles = /\/node_modules\/(?:kysely|zod)\//;

// So Node need not look for them through links and manifests, which is a third of the time that it takes to load them.
registerHooks({
  resolve(specifier, context, nextResolve) {
    const { parentURL = '', conditions } = context;
    if (!specifier.startsWith('.') || !manyFiles.test(parentURL) || !conditions.includes('import')) {
      return nextResolve(specifier, context);
    }
    return { url: new URL(specifier, parentURL).href, format: 'module', shortCircuit: true };
  },
});
