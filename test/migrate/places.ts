import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { stringify } from 'yaml';
import type { S3Settings } from '../../src/storage/s3/bucket.ts';
import { berth } from '../support/berth.ts';
import { needs } from '../support/needs.ts';
import { openTestPostgres } from '../support/postgres.ts';
import { type BerthProcess, startBerth } from '../support/process.ts';
import { s3Settings } from '../support/s3.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

/** A registry's database, store and data directory, and the configuration file that names them. */
export interface Place {
  readonly data: string;
  readonly file: string;
  serve(): Promise<BerthProcess>;
}

/** SQLite and files. */
export async function onDisk(t: TestContext): Promise<Place> {
  return place(t, {});
}

/** PostgreSQL and a bucket, both new; `undefined` if the machine lacks them, and the test is skipped. */
export async function onServers(t: TestContext): Promise<(Place & { readonly s3: S3Settings }) | undefined> {
  if (!needs(t, 'postgres')) return undefined;
  const s3 = await s3Settings(t);
  if (s3 === undefined) return undefined;
  return { ...(await place(t, { ...database(await openTestPostgres(t)), ...bucket(s3) })), s3 };
}

export function database(url: string) {
  return { database: { url } };
}

export function bucket({ redirectExpiry: _, ...s3 }: S3Settings) {
  return { storage: { type: 's3', s3: { ...s3, redirect: false } } };
}

/** @param at the data directory, to share that of another place; by default a new one */
export async function place(t: TestContext, settings: object, at?: string): Promise<Place> {
  const data = at ?? (await temporaryDirectory(t, 'berth-place'));
  const file = join(await temporaryDirectory(t, 'berth-config'), 'berth.yaml');
  await writeFile(file, stringify({ data, ...settings }));
  return { data, file, serve: () => startBerth(t, { data, args: ['--config', file] }) };
}

/** Runs a command with the place's configuration and asserts that it succeeds; returns its output. */
export async function succeed(at: Place, ...args: string[]): Promise<string> {
  const { exitCode, out, err } = await berth(...args, '--config', at.file);
  assert.equal(exitCode, 0, `berth ${args.join(' ')}: ${out}${err}`);
  return out;
}

/** Asserts that fsck finds manifests and no errors. */
export async function assertClean(at: Place): Promise<void> {
  const out = await succeed(at, 'fsck', '--read-data');
  assert.match(out, /: 0 errors/);
  assert.doesNotMatch(out, / 0 manifests/);
}
