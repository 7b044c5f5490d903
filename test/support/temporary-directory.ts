import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { cleanUp } from './cleanup.ts';

/** A directory that goes with the test. */
export async function temporaryDirectory(t: TestContext, name = 'berth'): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), `${name}-`));
  // The retries are for processes that were just killed and still write for a moment.
  cleanUp(t, () => rm(directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }));
  return directory;
}
