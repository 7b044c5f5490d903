// The common parts of `berth migrate-store` and `berth migrate-db`.
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
      new Option(
        '--to <file>',
        'The configuration to migrate to; flags and environment variables do not apply to it.',
      ).makeOptionMandatory(),
    )
    .option('--finish', 'Make the registry read-only, copy the last changes, and finish the migration.')
    .option('--json', 'Print JSON, one object a line: progress, problems, then the result.')
    .addHelpText(
      'after',
      `
Examples:
  berth ${name} --config berth.yaml --to new.yaml            copy, as often as you like, while Berth runs
  berth ${name} --config berth.yaml --to new.yaml --finish   finish; pushes are refused from then on`,
    );
}

export interface Move {
  readonly from: Loaded<Config>;
  readonly to: Config;
  /** The absolute path of the new configuration. */
  readonly file: string;
  /** The read-only reason for clients after the migration. */
  readonly reason: string;
}

/** @throws ConfigError about either configuration */
export function moveOf(command: Command, context: Context, { to: file }: MigrationOptions): Move {
  const from = configOf(command, context);
  // Environment and flags belong to the current registry, so the new configuration is the file alone.
  const { config: to } = loadConfig({ file, env: {} });
  // Clients see the reason, so it has only the file's name.
  return { from, to, file: resolve(file), reason: reasonOfMove(basename(file)) };
}

/** Whether both use the same database. */
export function sameDatabase({ from: { config: from }, to }: Move): boolean {
  if (from.database.url !== undefined || to.database.url !== undefined) {
    return from.database.url === to.database.url;
  }
  return sameFolder(from.data, to.data);
}

/** Whether both use the same blob store. */
export function sameStore({ from: { config: from }, to }: Move): boolean {
  if (from.storage.type === 's3' && to.storage.type === 's3') {
    const [one, other] = [from.storage.s3, to.storage.s3];
    return (['bucket', 'prefix', 'endpoint', 'region'] as const).every((key) => one[key] === other[key]);
  }
  return from.storage.type === to.storage.type && sameFolder(from.data, to.data);
}

/** Whether two paths lead to the same folder; a missing one is compared by its path. */
export function sameFolder(one: string, other: string): boolean {
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
