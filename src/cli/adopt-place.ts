// The place that `berth adopt` was given, compared with the store of the configuration.
import { resolve } from 'node:path';
import { storePlace } from '../config/places.ts';
import type { Config } from '../config/schema.ts';
import { Failure, UsageError } from '../failure.ts';
import { sameFolder } from './migration.ts';

/** The folder in which CNCF distribution stores everything, below its root directory or prefix. */
const treeFolder = 'docker/registry/v2';

/** @throws Failure with the settings to change, if the place is not the configured store; UsageError */
export function requireConfigured(place: string | undefined, config: Config): void {
  if (place === undefined) return;
  const wanted = parsePlace(place);
  if (isConfigured(wanted, config)) return;
  throw new Failure(
    `${place} is not ${storePlace(config)}, which is configured. Berth takes over a storage tree where it is, so the tree must be its blob store. ` +
      `Put this into berth.yaml, and run the command again:\n\n${settingsFor(wanted, config)}`,
  );
}

type Place =
  | { readonly path: string }
  /** The prefix is empty or ends with a slash. */
  | { readonly bucket: string; readonly prefix: string };

function parsePlace(place: string): Place {
  if (!place.startsWith('s3://')) return { path: resolve(withoutTree(place) || '.') };
  const [, bucket, rest = ''] = /^s3:\/\/([^/]+)(?:\/(.*))?$/.exec(place) ?? [];
  if (bucket === undefined) throw new UsageError(`expected s3://BUCKET or s3://BUCKET/PREFIX, got ${place}`);
  const prefix = withoutEndingSlashes(withoutTree(rest));
  return { bucket, prefix: prefix === '' ? '' : `${prefix}/` };
}

/** Accepts a path to the tree itself, or into it: `/var/lib/registry/docker/registry/v2` is `/var/lib/registry`. */
function withoutTree(path: string): string {
  const folders = withoutEndingSlashes(path);
  for (let tree = treeFolder; tree !== ''; tree = tree.slice(0, Math.max(tree.lastIndexOf('/'), 0))) {
    if (folders === tree) return '';
    if (folders.endsWith(`/${tree}`)) return folders.slice(0, -tree.length - 1) || '/';
  }
  return path;
}

function withoutEndingSlashes(path: string): string {
  let end = path.length;
  while (path[end - 1] === '/') end -= 1;
  return path.slice(0, end);
}

function isConfigured(place: Place, { storage, data }: Config): boolean {
  if ('path' in place) return storage.type === 'filesystem' && sameFolder(place.path, resolve(data));
  return storage.type === 's3' && place.bucket === storage.s3.bucket && place.prefix === storage.s3.prefix;
}

function settingsFor(place: Place, { storage }: Config): string {
  if ('path' in place) {
    const type = storage.type === 'filesystem' ? '' : 'storage:\n  type: filesystem\n';
    return `data: ${place.path}\n${type}\nor call berth with --data ${place.path}, this command and all others`;
  }
  const { region = 'us-east-1', endpoint = undefined } = storage.type === 's3' ? storage.s3 : {};
  const lines = [
    'storage:',
    '  type: s3',
    '  s3:',
    `    bucket: ${place.bucket}`,
    ...(place.prefix === '' ? [] : [`    prefix: ${place.prefix}`]),
    `    region: ${region}`,
    endpoint === undefined
      ? '    # endpoint: https://s3.example.com     if it is not AWS'
      : `    endpoint: ${endpoint}`,
  ];
  return lines.join('\n');
}
