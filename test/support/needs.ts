import { spawnSync } from 'node:child_process';
import { accessSync, constants, globSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { TestContext } from 'node:test';
import { type GoTool, goTool, goTools } from './go-tools.ts';

/** Programs that tests use, and their Debian packages. `npm test` installs missing ones. */
export const debianPackages = {
  buildah: 'buildah',
  chromium: 'chromium',
  ctr: 'containerd',
  curl: 'curl',
  'docker-registry': 'docker-registry',
  docker: 'docker.io',
  dockerd: 'docker.io',
  nginx: 'nginx',
  pgbouncer: 'pgbouncer',
  podman: 'podman',
  postgres: 'postgresql',
  promtool: 'prometheus',
  skopeo: 'skopeo',
  'systemd-analyze': 'systemd',
} as const;

export type DebianTool = keyof typeof debianPackages;
export type Tool = DebianTool | GoTool;

/** Container engines and others that run in a sandbox with separate mounts. */
const mounting: ReadonlySet<Tool> = new Set(['buildah', 'ctr', 'dockerd', 'podman', 'skopeo']);

/** Whether the machine has all tools; if not, the test is skipped with the reason: `if (!needs(t, …)) return;` */
export function needs(t: TestContext, ...tools: Tool[]): boolean {
  const reasons = tools.map(whyUnusable).filter((reason) => reason !== undefined);
  if (reasons.length > 0) t.skip(reasons.join('; '));
  return reasons.length === 0;
}

/** Why the tool cannot be used on this machine; `undefined` if it can. */
export function whyUnusable(tool: Tool): string | undefined {
  if (isGoTool(tool)) {
    const built = goTool(tool);
    return 'reason' in built ? built.reason : undefined;
  }
  if (!isInstalled(tool)) return `${tool} is not installed (Debian package ${debianPackages[tool]})`;
  if (mounting.has(tool) && !mayMount()) return `${tool} needs root, with the right to mount`;
  return undefined;
}

export function isGoTool(tool: string): tool is GoTool {
  return tool in goTools;
}

function mayMount(): boolean {
  return spawnSync('unshare', ['--mount', 'mount', '--bind', '/', '/mnt']).status === 0;
}

export function isInstalled(command: string): boolean {
  return findProgram(command) !== undefined;
}

/** The path of the program, if it is installed. */
export function findProgram(command: string): string | undefined {
  // Daemons are in sbin, which may not be in PATH, and PostgreSQL's programs in a folder for each version.
  const folders = [
    ...(process.env.PATH ?? '').split(delimiter),
    '/usr/sbin',
    '/sbin',
    ...globSync('/usr/lib/postgresql/*/bin').sort().reverse(),
  ];
  return folders
    .map((folder) => join(folder, command))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}
