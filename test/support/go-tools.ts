import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Programs without a Debian package, built from Go's module proxy. */
export const goTools = {
  'compose-go': { package: 'github.com/compose-spec/compose-go/v2/cmd', version: 'v2.16.2' },
  helm: { package: 'helm.sh/helm/v4/cmd/helm', version: 'v4.3.1' },
  minio: { package: 'github.com/minio/minio', version: 'v0.0.0-20260212201848-7aac2a2c5b7c' },
  seaweedfs: {
    package: 'github.com/seaweedfs/seaweedfs/weed',
    version: 'v0.0.0-20261109003541-7506e5f91cd6',
  },
  versitygw: { package: 'github.com/versity/versitygw/cmd/versitygw', version: 'v1.8.0' },
} as const;

export type GoTool = keyof typeof goTools;

const cache = fileURLToPath(new URL('../../node_modules/.cache/go-tools', import.meta.url));
/** Milliseconds after which a build is stopped; a cold build of the largest tool takes some minutes on two cores. */
const buildLimit = 10 * 60_000;

/**
 * The path of the program, which is built at the first call and cached in `node_modules/.cache`; or the reason why it is
 * missing, with which tests are skipped. `npm test` builds what its tests need before any of them runs.
 */
export function goTool(name: GoTool): { readonly path: string } | { readonly reason: string } {
  const path = placeOf(name);
  if (existsSync(path)) return { path };
  if (failedBefore(name)) return { reason: `${name} is missing: npm test could not build it` };

  const tool = goTools[name];
  mkdirSync(cache, { recursive: true });
  const building = mkdtempSync(join(cache, 'building-'));
  try {
    const env = { ...process.env, PATH: `${process.env.PATH}:/usr/local/go/bin`, CGO_ENABLED: '0' };
    // In a separate module, as `go install` rejects programs whose module has `replace` directives.
    for (const args of [
      ['mod', 'init', 'tool'],
      ['get', `${tool.package}@${tool.version}`],
      ['build', '-ldflags=-s -w', '-o', name, tool.package],
    ]) {
      const options = { cwd: building, env, encoding: 'utf8', timeout: buildLimit } as const;
      const { status, error, stderr } = spawnSync('go', args, options);
      if (status !== 0) return { reason: `${name} is missing: ${whyNotBuilt(args[0], error, stderr)}` };
    }
    try {
      renameSync(building, dirname(path));
    } catch (error) {
      // Another test process has built the program meanwhile.
      if (!existsSync(path)) throw error;
    }
    return { path };
  } finally {
    rmSync(building, { recursive: true, force: true });
  }
}

/** Builds missing tools before the tests begin, so that builds do not count as test time and are not retried in each test. */
export function buildGoTools(names: readonly GoTool[]): void {
  for (const name of names.filter((name) => !existsSync(placeOf(name)))) {
    console.log(`Building ${name} with Go …`);
    const built = goTool(name);
    if ('path' in built) continue;
    console.log(built.reason);
    process.env[failures] = [process.env[failures], name].filter(Boolean).join(' ');
  }
}

/** The environment variable that passes the tools that could not be built to the test processes. */
const failures = 'GO_TOOLS_MISSING';

const failedBefore = (name: GoTool): boolean => (process.env[failures] ?? '').split(' ').includes(name);

const placeOf = (name: GoTool): string => join(cache, `${name}@${goTools[name].version}`, name);

function whyNotBuilt(
  command: string | undefined,
  error: NodeJS.ErrnoException | undefined,
  stderr: string | null,
): string {
  if (error?.code === 'ENOENT') return 'it is built with Go, which is not installed';
  const lines = (stderr ?? '').split('\n').filter((line) => line && !line.startsWith('go: downloading'));
  return `go ${command} failed: ${error?.message ?? lines.at(-1)}`;
}
