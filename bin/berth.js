#!/usr/bin/env node
// The command `berth`: runs src/main.ts on a Node that can. In plain JavaScript that any Node reads.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import module from 'node:module';
import { dirname, join } from 'node:path';
import { isatty } from 'node:tty';
import { fileURLToPath } from 'node:url';
import { nodeProblem } from './node-version.js';

const root = new URL('../', import.meta.url);
const problem = nodeProblem(process.versions.node);

if (!problem) {
  stripOwnTypes();
  await import('../src/main.ts');
} else {
  const binary = bundledNode();
  if (binary) {
    runOn(binary);
  } else {
    process.stderr.write(`berth: ${problem}\n`);
    process.exitCode = 1;
  }
}

/** Node strips the types of no file below a node_modules folder, which is where npm installs us. */
function stripOwnTypes() {
  if (!root.pathname.includes('/node_modules/')) return;
  module.registerHooks({
    load(url, context, nextLoad) {
      const own = url.startsWith(root.href) && url.endsWith('.ts');
      if (!own || url.slice(root.href.length).includes('node_modules/')) return nextLoad(url, context);
      const source = strip(readFileSync(new URL(url), 'utf8'));
      return { format: 'module', source, shortCircuit: true };
    },
  });
}

/**
 * Without the warning that the function is experimental: it is Node's own loader's.
 * @param {string} source
 */
function strip(source) {
  const { emitWarning } = process;
  process.emitWarning = () => {};
  try {
    return module.stripTypeScriptTypes(source);
  } finally {
    process.emitWarning = emitWarning;
  }
}

/** The binary of the npm package `node`, which Berth depends on; its install script may not have run. */
function bundledNode() {
  const require = module.createRequire(import.meta.url);
  try {
    const manifest = require.resolve('node/package.json');
    const binary = join(dirname(manifest), require(manifest).bin.node);
    return existsSync(binary) ? binary : undefined;
  } catch {
    return undefined;
  }
}

/** @param {string} binary */
function runOn(binary) {
  const child = spawn(binary, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], {
    stdio: 'inherit',
  });
  // A terminal sends Ctrl-C to both of us; passed on, it would arrive twice, and the second one kills.
  const terminal = [0, 1, 2].some((fd) => isatty(fd));
  process.on('SIGINT', () => terminal || child.kill('SIGINT'));
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  child.on('error', (error) => {
    process.stderr.write(`berth: ${problem}\n${binary} does not run here: ${error.message}\n`);
    process.exitCode = 1;
  });
  child.on('exit', (code, signal) => {
    if (signal) {
      process.removeAllListeners(signal);
      process.kill(process.pid, signal);
    } else {
      process.exitCode = code ?? 1;
    }
  });
}
