import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { cleanUp } from './cleanup.ts';

/** Creates a directory for the duration of the test. */
export async function temporaryDirectory(t: TestContext, name = 'berth'): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), `${name}-`));
  // Retries, as processes that were just killed may still write for a moment.
  cleanUp(t, () => rm(directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }));
  return directory;
}
