// Apart from backends.ts, which is for tests alone: what starts them chooses by these names.
import { whyUnusable } from './needs.ts';

export const backendNames = ['SQLite and files', 'SQLite and memory', 'PostgreSQL and S3'] as const;
export type BackendName = (typeof backendNames)[number];

/** The environment variable that names the backend of a whole run. */
export const backendVariable = 'TEST_BACKEND';

/** Why the machine cannot run the tests on a backend; `undefined` when it can. */
export function whyNoBackend(name: BackendName): string | undefined {
  return name === 'PostgreSQL and S3' ? (whyUnusable('postgres') ?? whyUnusable('versitygw')) : undefined;
}
