import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

/** What a test file does that looks at its process, or changes it for others. */
const ownProcess =
  /\bprocess\.(?:env[.[]\S+ = |exitCode|on\(|once\(|umask|chdir|memoryUsage)|\bmock\.|\b(?:main-thread|cpu-time)\.ts|eventLoop/;

/** Files in a process: few enough that one hanging file stops few others, and that both cores have work to the end. */
const batchSize = 8;

/**
 * Puts small test files together, so that a process loads Berth once for several of them, which takes longer than most of their tests.
 * Files that look at their process keep one of their own. Each batch is a module in `folder` that imports its files.
 * @returns the modules to run, batches first
 */
export function batchFiles(files: readonly string[], folder: string): string[] {
  mkdirSync(folder, { recursive: true });
  const batches: string[] = [];
  const shared = files.filter((file) => !ownProcess.test(readFileSync(file, 'utf8')));
  for (let start = 0; start < shared.length; start += batchSize) {
    const batch = shared.slice(start, start + batchSize);
    const path = join(folder, `batch-${batches.length + 1}.test.mjs`);
    writeFileSync(path, batch.map((file) => `import ${JSON.stringify(resolve(file))};\n`).join(''));
    batches.push(path);
  }
  return [...batches, ...files.filter((file) => !shared.includes(file))];
}
