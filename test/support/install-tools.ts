import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { buildGoTools } from './go-tools.ts';
import { readImports } from './imports.ts';
import { type DebianTool, debianPackages, isGoTool, isInstalled, type Tool } from './needs.ts';

/**
 * Installs or builds the missing tools that `files`, or their imports, require with `needs`, `whyUnusable` or `goTool`. If
 * that is not allowed or fails, their tests are skipped with the reason.
 */
export function installTools(files: readonly string[]): void {
  const tools = new Set(toolsNeeded(files));
  installPackages([...tools].filter((tool) => !isGoTool(tool)));
  buildGoTools([...tools].filter(isGoTool));
}

function installPackages(tools: readonly DebianTool[]): void {
  const missing = tools.filter((tool) => !isInstalled(tool));
  if (missing.length === 0) return;
  const packages = [...new Set(missing.map((tool) => debianPackages[tool]))];
  if (process.getuid?.() !== 0 || !isInstalled('apt-get')) {
    console.log(
      `Not installed, and npm test may not install them (no root or no apt-get): ${packages.join(', ')}`,
    );
    return;
  }
  console.log(`Installing ${packages.join(', ')} with apt-get …`);
  const install = () => aptGet('install', '--yes', '--no-install-recommends', ...packages);
  const withoutServices = keepServicesFromStarting();
  // A machine without package lists does not know the packages yet.
  if (!install()) aptGet('update') && install();
  withoutServices.undo();
}

/** The tools that the files and their imports require. */
export function toolsNeeded(files: readonly string[]): Tool[] {
  const sources = [...files, ...importedBy(files)].map((file) => readFileSync(file, 'utf8'));
  const calls = sources.flatMap((source) => [
    ...source.matchAll(/\b(?:needs\(t, |whyUnusable\(|goTool\()('[\w-]+'(?:, '[\w-]+')*)\)/g),
  ]);
  const names = calls.flatMap((call) => [...call[1]!.matchAll(/[\w-]+/g)].map(String));
  return names.filter((name): name is Tool => name in debianPackages || isGoTool(name));
}

/** The files of this repository that `files` import, directly or indirectly. */
export function importedBy(files: readonly string[]): Set<string> {
  const found = new Set<string>();
  const visit = (file: string): void => {
    for (const { specifier } of readImports(readFileSync(file, 'utf8'))) {
      if (!specifier.startsWith('.')) continue;
      const imported = join(dirname(file), specifier);
      if (found.has(imported) || !existsSync(imported)) continue;
      found.add(imported);
      visit(imported);
    }
  };
  for (const file of files) visit(file);
  return found;
}

function aptGet(...args: string[]): boolean {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const options = ['--quiet=2', '-o', 'DPkg::Lock::Timeout=120'];
  const { status, stdout, stderr } = spawnSync('apt-get', [...options, ...args], { env, encoding: 'utf8' });
  if (status !== 0) console.log(`apt-get ${args.join(' ')} failed:\n${stdout}${stderr}`);
  return status === 0;
}

/** Debian starts daemons on installation; the tests start their own. */
function keepServicesFromStarting(): { undo(): void } {
  const policy = '/usr/sbin/policy-rc.d';
  if (existsSync(policy)) return { undo() {} };
  writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  return { undo: () => rmSync(policy) };
}
