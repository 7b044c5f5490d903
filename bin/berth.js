#!/usr/bin/env node
// The command `berth`: runs src/main.ts with a Node version that can run it. In plain JavaScript, which every version reads.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { isatty } from 'node:tty';
import { fileURLToPath } from 'node:url';
import { nodeProblem } from './node-version.js';

const problem = nodeProblem(process.versions.node);
const binary = problem ? bundledNode() : process.execPath;
const installed = import.meta.url.includes('/node_modules/');

if (!binary) {
  process.stderr.write(`berth: ${problem}\n`);
  process.exitCode = 1;
} else if (problem || installed) {
  const stripTypes = installed ? ['--import', new URL('strip-types.js', import.meta.url).href] : [];
  const run = fileURLToPath(new URL('run.js', import.meta.url));
  become(binary, [...stripTypes, run, ...process.argv.slice(2)]);
} else {
  await import('./run.js');
}

/** The binary of the npm package `node`, which Berth depends on; its install script may not have run. */
function bundledNode() {
  const require = createRequire(import.meta.url);
  try {
    const manifest = require.resolve('node/package.json');
    const binary = join(dirname(manifest), require(manifest).bin.node);
    return existsSync(binary) ? binary : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Runs the given program in place of this one: passes on signals, and ends with its exit code or signal.
 * @param {string} binary
 * @param {string[]} argv
 */
function become(binary, argv) {
  // Replaces the process. Node 20 and Windows cannot do this, and start a child instead.
  if (process.execve && process.platform !== 'win32') process.execve(binary, [binary, ...argv], process.env);
  const child = spawn(binary, argv, { stdio: 'inherit' });
  // A terminal already sends Ctrl-C to both processes.
  const terminal = [0, 1, 2].some((fd) => isatty(fd));
  process.on('SIGINT', () => terminal || child.kill('SIGINT'));
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  child.on('error', (error) => {
    process.stderr.write(`berth: ${binary} does not run: ${error.message}\n`);
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
