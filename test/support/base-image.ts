import { globSync } from 'node:fs';
import { copyFile, cp, lstat, mkdir, readlink, realpath, symlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { run } from './command.ts';

/** The programs that Berth's Dockerfile uses. */
const commands = [
  ...[
    'bash',
    'cat',
    'chmod',
    'cp',
    'env',
    'find',
    'grep',
    'ldd',
    'ln',
    'mkdir',
    'mv',
    'rm',
    'sed',
    'sh',
    'xargs',
  ],
];

/**
 * Writes a build context for an image like `node:26-slim` from this machine's own files: the Node that runs the tests,
 * npm with its registry settings, and the programs that the Dockerfile calls. No base image is pulled.
 */
export async function writeBaseContext(directory: string): Promise<void> {
  const root = join(directory, 'root');
  await mkdir(root, { recursive: true });
  await linkLikeTheMachine(root);
  const programs = await Promise.all(commands.map(pathOf));
  // All of glibc, as in any image with Node: native modules need other parts too.
  const native = globSync(`${import.meta.dirname}/../../node_modules/@node-rs/*/*.linux-*-gnu.node`);
  const needed = await Promise.all([...programs, process.execPath, ...native].map(librariesOf));
  for (const file of new Set([...programs, ...needed.flat()])) await copyInto(root, file);

  const local = join(root, 'usr/local');
  await mkdir(join(local, 'bin'), { recursive: true });
  await copyFile(process.execPath, join(local, 'bin/node'));
  const npm = dirname(dirname(await realpath(await pathOf('npm'))));
  await cp(npm, join(local, 'lib/node_modules/npm'), { recursive: true, dereference: true });
  await symlink('../lib/node_modules/npm/bin/npm-cli.js', join(local, 'bin/npm'));

  const dockerfile = ['FROM scratch', 'COPY root /', ...(await npmSettings(root)), ''];
  await writeFile(join(directory, 'Dockerfile'), dockerfile.join('\n'));
}

/** Makes /bin and /lib links into /usr in the image if they are on this machine. */
async function linkLikeTheMachine(root: string): Promise<void> {
  for (const name of ['bin', 'lib', 'lib64', 'sbin']) {
    const entry = await lstat(`/${name}`).catch(() => undefined);
    if (!entry?.isSymbolicLink()) continue;
    const target = await readlink(`/${name}`);
    await mkdir(join(root, target), { recursive: true });
    await symlink(target, join(root, name));
  }
}

const pathOf = async (command: string): Promise<string> =>
  (await run('sh', ['-c', `command -v ${command}`])).trim();

async function librariesOf(program: string): Promise<string[]> {
  // ldd fails on scripts.
  const list = await run('ldd', [program]).catch(() => '');
  return list.match(/\/\S+/g)?.filter((path) => !path.endsWith(':')) ?? [];
}

async function copyInto(root: string, file: string): Promise<void> {
  const target = join(root, await realpath(dirname(file)), basename(file));
  await mkdir(dirname(target), { recursive: true });
  await copyFile(file, target);
}

/** npm's registry on this machine, and its certificates. */
async function npmSettings(root: string): Promise<string[]> {
  const setting = async (name: string) => (await run('npm', ['config', 'get', name])).trim();
  const lines = [`ENV npm_config_registry=${await setting('registry')}`];
  const cafile = await setting('cafile');
  const certificates = cafile === 'null' ? process.env.NODE_EXTRA_CA_CERTS : cafile;
  if (certificates) {
    await copyInto(root, certificates);
    lines.push(`ENV NODE_EXTRA_CA_CERTS=${certificates}`);
  }
  return lines;
}
