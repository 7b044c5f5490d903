import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type BackendName, backendVariable } from './backend-names.ts';

/** Code that measures its process, or changes it for other tests. What `t.mock` changes ends with its test. */
const ownProcess =
  /\bprocess\.(?:env[.[]\S+ = |exitCode|on\(|once\(|umask|chdir|memoryUsage)|(?<!\bt\.)\bmock\.|\b(?:main-thread|cpu-time)\.ts|eventLoop/;

/** Files in a process: few, so that a hanging file stops few others, and both cores have work until the end. */
const batchSize = 12;

/**
 * Groups test files, so that several share a process: loading Berth takes longer than most of their tests. Files that measure or
 * change their process have their own. Each batch is a module in `folder` that imports its files over `backend`.
 * @returns the modules to run, in the order of the files
 */
export function batchFiles(files: readonly string[], backend: BackendName, folder: string): string[] {
  mkdirSync(folder, { recursive: true });
  const start = join(folder, 'start.mjs');
  writeFileSync(start, startOfBatch(backend));
  const modules: string[] = [];
  const write = (batch: readonly string[]): void => {
    const path = join(folder, `batch-${modules.length + 1}.test.mjs`);
    const imports = batch.map((file) => `import ${JSON.stringify(resolve(file))};\n`).join('');
    writeFileSync(path, `import { loaded } from './start.mjs';\n${imports}loaded();\n`);
    modules.push(path);
  };
  const shared = files.filter((file) => !ownProcess.test(readFileSync(file, 'utf8')));
  for (const file of files) if (!shared.includes(file)) write([file]);
  for (let start = 0; start < shared.length; start += batchSize)
    write(shared.slice(start, start + batchSize));
  return modules;
}

/** Selects the backend, and lets no test begin before all files of the batch are loaded: with `forceExit`, those loaded later would be lost. */
function startOfBatch(backend: BackendName): string {
  return `import { before } from 'node:test';
process.env.${backendVariable} = ${JSON.stringify(backend)};
const { promise, resolve } = Promise.withResolvers();
before(() => promise);
export const loaded = resolve;
`;
}
