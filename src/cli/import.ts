// berth import: pushes the images of an archive.
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { Argument, Option } from 'commander';
import { parseRepositoryName } from '../administration/repositories.ts';
import { readImages } from '../archive/images.ts';
import { openArchive } from '../archive/open-archive.ts';
import { importImages, type Target } from '../core/archive/import-images.ts';
import { Blobs } from '../core/blobs.ts';
import { Manifests } from '../core/manifests.ts';
import { printBytes } from '../core/print-bytes.ts';
import { Uploads } from '../core/uploads.ts';
import { Failure, UsageError } from '../failure.ts';
import { asTag } from '../oci/reference.ts';
import { listAnswer } from './answer.ts';
import { interruptible } from './interrupt.ts';
import { singleCommand } from './registry-command.ts';

export const importCommand = singleCommand({
  arguments: [
    new Argument(
      '<archive>',
      'A tar archive (also with gzip), a directory, or - for standard input: an OCI image layout, or what `docker save` writes.',
    ),
  ],
  options: [
    new Option(
      '--to <repository>',
      'Import into this repository instead of those that the archive names; REPOSITORY:TAG also names a single image without a tag.',
    ),
  ],
  examples: [
    'berth import images.tar',
    'docker save alpine:3.20 | berth import - --to library/alpine',
    'berth import ./layout --to acme/app',
  ],
  async run(invocation, source: string, { to }: { to?: string }) {
    const target = to === undefined ? undefined : parseTarget(to);
    const { input } = invocation.context;
    if (source === '-' && input === undefined) throw new UsageError('there is no standard input');
    const { config } = invocation;
    const database = await invocation.openForChanges();
    const store = await invocation.openStoreForChanges(database);
    const { by, clock } = database;
    const { quotas } = config;
    const blobs = new Blobs({ database, store, clock, quotas });
    const uploads = new Uploads({ database, store, blobs, clock, quotas });
    const { missingReferences, maxSize: maxManifestSize } = config.manifests;
    const manifests = new Manifests({
      database,
      clock,
      missingReferences,
      immutableTags: config.tags.immutable,
      quotas,
    });
    const imported = await interruptible('repeat the command to import the rest', async (signal) => {
      const spool = {
        folder: existsSync(config.data) ? config.data : tmpdir(),
        ensureFreeSpace: store.ensureFreeSpace,
        signal,
      };
      const archive = await openArchive(source === '-' ? input! : source, spool);
      try {
        const parts = { database, manifests, blobs, uploads, by, maxManifestSize, signal };
        return await importImages(parts, await readImages(archive), target);
      } finally {
        await archive.close();
      }
    }).catch(explain);
    return listAnswer(imported, {
      REPOSITORY: ({ name }) => name,
      'NEW TAGS': ({ tags }) => tags,
      'NEW MANIFESTS': ({ manifests }) => manifests,
      'NEW BLOBS': ({ blobs }) => blobs,
      COPIED: ({ bytes }) => printBytes(bytes),
    });
  },
});

/** The store's check of free space has no path. */
function explain(error: unknown): never {
  const { code, syscall, message } = error as NodeJS.ErrnoException;
  if (code !== 'ENOSPC' || syscall !== undefined) throw error;
  throw new Failure(`the disk is full (${message}): free space, and repeat the command to import the rest`);
}

function parseTarget(text: string): Target {
  const colon = text.indexOf(':');
  if (colon === -1) return { name: parseRepositoryName(text) };
  const tag = asTag(text.slice(colon + 1));
  if (tag === undefined) throw new UsageError(`${text} has no valid tag after the colon`);
  return { name: parseRepositoryName(text.slice(0, colon)), tag };
}
