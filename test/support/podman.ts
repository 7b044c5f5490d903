import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { run } from './command.ts';
import { sandboxed } from './sandbox.ts';
import { temporaryDirectory } from './temporary-directory.ts';

/** The tools of github.com/containers, which share storage and settings. Each returns its stdout. */
export interface ContainersTools {
  podman(...args: string[]): Promise<string>;
  buildah(...args: string[]): Promise<string>;
  skopeo(...args: string[]): Promise<string>;
  /** Runs skopeo with `input` on its stdin. A login is valid for all three tools. */
  skopeoReading(input: string, ...args: string[]): Promise<string>;
}

/** Folders with images, locks and settings of the three tools. */
const places = ['/etc/containers', '/var/lib/containers', '/run', '/dev/shm'];

/** Separate storage and settings for the test, in which `registry` (`HOST:PORT`) is used without TLS. */
export async function containersTools(t: TestContext, registry: string): Promise<ContainersTools> {
  const directory = await temporaryDirectory(t, 'berth-podman');
  const settings = join(directory, 'etc/containers');
  await mkdir(settings, { recursive: true });
  for (const [name, text] of Object.entries(files(registry))) await writeFile(join(settings, name), text);

  const env = { PATH: process.env.PATH, HOME: directory, TMPDIR: directory };
  const tool =
    (name: string) =>
    (...args: string[]) => {
      const [command, ...rest] = sandboxed(directory, places, [name, ...args]);
      return run(command!, rest, { env });
    };
  const skopeoReading = (input: string, ...args: string[]) => {
    const [command, ...rest] = sandboxed(directory, places, ['skopeo', ...args]);
    return run(command!, rest, { env, input });
  };
  return { podman: tool('podman'), buildah: tool('buildah'), skopeo: tool('skopeo'), skopeoReading };
}

const files = (registry: string) => ({
  'policy.json': '{ "default": [{ "type": "insecureAcceptAnything" }] }',
  'registries.conf': `[[registry]]\nlocation = "${registry}"\ninsecure = true\n`,
  // Lets pulls fetch only missing files of a zstd:chunked layer.
  'storage.conf': [
    '[storage]',
    'driver = "overlay"',
    'graphroot = "/var/lib/containers/storage"',
    'runroot = "/run/containers/storage"',
    '[storage.options]',
    'pull_options = { enable_partial_images = "true", use_hard_links = "false", ostree_repos = "" }',
    '',
  ].join('\n'),
  // Works without systemd, network, and the right to raise process limits.
  'containers.conf': [
    '[containers]',
    'netns = "none"',
    'default_ulimits = []',
    '[engine]',
    'cgroup_manager = "cgroupfs"',
    'events_logger = "none"',
    '',
  ].join('\n'),
});
