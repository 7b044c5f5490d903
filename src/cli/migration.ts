// What `berth migrate-store` and `berth migrate-db` have in common: where from, where to, and how they are told to end.
import { realpathSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { type Loaded, loadConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { reasonOfMove } from '../db/database.ts';
import { configOf, withRegistryFlags } from './config-flags.ts';
import type { Context } from './context.ts';

export interface MigrationOptions {
  readonly to: string;
  readonly finish?: boolean;
  readonly json?: boolean;
}

export function withMigrationFlags(command: Command, name: string): Command {
  return withRegistryFlags(command)
    .addOption(
      new Option('--to <file>', 'The configuration to move to, of this file alone.').makeOptionMandatory(),
    )
    .option(
      '--finish',
      'Make the registry read-only, copy what came in between, and bring the move to its end.',
    )
    .option('--json', 'Print JSON, one object a line: progress, problems, then the result.')
    .addHelpText(
      'after',
      `
Examples:
  berth ${name} --config berth.yaml --to new.yaml            copy, as often as you like, while Berth runs
  berth ${name} --config berth.yaml --to new.yaml --finish   end the move; pushes are refused from then on`,
    );
}

export interface Move {
  readonly from: Loaded<Config>;
  readonly to: Config;
  /** The path of the second one, as whoever has to start it would name it. */
  readonly file: string;
  /** What those who push are told from the end of the move on. */
  readonly reason: string;
}

/** @throws ConfigError about either configuration */
export function moveOf(command: Command, context: Context, { to: file }: MigrationOptions): Move {
  const from = configOf(command, context);
  // The environment is this registry's, and so are the flags: of the other one only its file is known.
  const { config: to } = loadConfig({ file, env: {} });
  // Clients are told, so no more of the path than its end.
  return { from, to, file: resolve(file), reason: reasonOfMove(basename(file)) };
}

/** Whether both keep their metadata in one place. */
export function sameDatabase({ from: { config: from }, to }: Move): boolean {
  if (from.database.url !== undefined || to.database.url !== undefined) {
    return from.database.url === to.database.url;
  }
  return sameFolder(from.data, to.data);
}

/** Whether both keep their blobs in one place. */
export function sameStore({ from: { config: from }, to }: Move): boolean {
  if (from.storage.type === 's3' && to.storage.type === 's3') {
    const [one, other] = [from.storage.s3, to.storage.s3];
    return (['bucket', 'prefix', 'endpoint', 'region'] as const).every((key) => one[key] === other[key]);
  }
  return from.storage.type === to.storage.type && sameFolder(from.data, to.data);
}

/** Whether two paths lead to one folder; one that is not there yet is no other. */
function sameFolder(one: string, other: string): boolean {
  const real = (path: string): string => {
    try {
      return realpathSync(path);
    } catch {
      return path;
    }
  };
  return real(one) === real(other);
}

export function numbered(steps: readonly string[]): string {
  return steps.map((step, index) => `  ${index + 1}. ${step}`).join('\n');
}
