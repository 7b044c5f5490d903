// Strips the types of Berth's own files. Node does this itself, except below a node_modules folder, where npm
// installs Berth. Loaded with `--import`, so that it works in every thread.
import { readFileSync } from 'node:fs';
import { registerHooks, stripTypeScriptTypes } from 'node:module';

const root = new URL('../', import.meta.url).href;

registerHooks({
  load(url, context, nextLoad) {
    const own = url.startsWith(root) && !url.slice(root.length).includes('node_modules/');
    if (!own || !url.endsWith('.ts')) return nextLoad(url, context);
    return { format: 'module', source: strip(readFileSync(new URL(url), 'utf8')), shortCircuit: true };
  },
});

/**
 * Suppresses the warning that `stripTypeScriptTypes` is experimental: Node's own loader uses it too.
 * @param {string} source
 */
function strip(source) {
  const { emitWarning } = process;
  process.emitWarning = () => {};
  try {
    return stripTypeScriptTypes(source);
  } finally {
    process.emitWarning = emitWarning;
  }
}
