// Separate from backends.ts, which only tests may import: test/run.ts chooses backends by these names.
import { whyUnusable } from './needs.ts';

export const backendNames = ['SQLite and files', 'PostgreSQL and S3'] as const;
export type BackendName = (typeof backendNames)[number];

/** The environment variable with the backend of a run. */
export const backendVariable = 'TEST_BACKEND';

/** Why the machine cannot run the tests on a backend; `undefined` if it can. */
export function whyNoBackend(name: BackendName): string | undefined {
  return name === 'PostgreSQL and S3' ? (whyUnusable('postgres') ?? whyUnusable('versitygw')) : undefined;
}
