// berth export: writes images into an OCI image layout.
import { Argument, Option } from 'commander';
import { parseRepositoryName } from '../administration/repositories.ts';
import { createLayout } from '../archive/layout-writer.ts';
import { exportImages, type Selection } from '../core/archive/export-images.ts';
import { Blobs } from '../core/blobs.ts';
import { Manifests } from '../core/manifests.ts';
import { printBytes } from '../core/print-bytes.ts';
import { Failure, UsageError } from '../failure.ts';
import { asDigest } from '../oci/digest.ts';
import { RegistryError } from '../oci/errors.ts';
import { asTag } from '../oci/reference.ts';
import { describeFields } from './answer.ts';
import { interruptible } from './interrupt.ts';
import { singleCommand } from './registry-command.ts';

interface Options {
  /** False with --no-referrers. */
  readonly referrers?: boolean;
  readonly force?: boolean;
}

export const exportCommand = singleCommand({
  arguments: [
    new Argument(
      '<images-and-target...>',
      'Repositories (all tags), REPOSITORY:TAG or REPOSITORY@DIGEST; last the target, FILE.tar or a directory.',
    ),
  ],
  options: [
    new Option('--no-referrers', 'Leave out signatures, attestations and other referrers of the images.'),
    new Option('--force', 'Replace an existing archive or image layout.'),
  ],
  examples: [
    'berth export acme/app images.tar',
    'berth export acme/app:v1.4.2 acme/base@sha256:… images.tar',
    'berth export acme/app ./layout',
  ],
  async run(invocation, words: string[], { referrers = true, force = false }: Options) {
    const target = words.at(-1) as string;
    if (words.length < 2)
      throw new UsageError('name at least one image and the target, FILE.tar or a directory');
    if (/^-$|\.t?gz$/.test(target)) {
      throw new UsageError(`the target must be FILE.tar or a directory, not ${target}`);
    }
    const selections = words.slice(0, -1).map(parseSelection);
    const { config } = invocation;
    const database = await invocation.openForChanges();
    const store = await invocation.openStore();
    const { clock } = database;
    const { missingReferences } = config.manifests;
    const blobs = new Blobs({ database, store, clock });
    const manifests = new Manifests({
      database,
      clock,
      missingReferences,
      immutableTags: config.tags.immutable,
    });
    await using writer = await createLayout(target, force);
    const exported = await interruptible('nothing was written', async (signal) => {
      const parts = { database, manifests, blobs, missingReferences, writer, signal };
      const exported = await exportImages(parts, selections, { referrers }).catch(explain);
      await writer.finish();
      return exported;
    });
    if (exported.missing > 0)
      invocation.warn(
        `images reference content that the registry does not have (manifests.missingReferences): ${exported.missing}`,
      );
    const { bytes, missing: _, ...counts } = exported;
    return {
      text: describeFields({ target, ...counts, size: printBytes(bytes) }),
      json: { target, ...exported },
    };
  },
});

function parseSelection(text: string): Selection {
  const at = text.indexOf('@');
  if (at !== -1) {
    const digest = asDigest(text.slice(at + 1));
    if (digest === undefined) throw new UsageError(`${text} has no valid digest after @`);
    return { name: parseRepositoryName(text.slice(0, at)), reference: { kind: 'digest', digest } };
  }
  const colon = text.indexOf(':');
  if (colon === -1) return { name: parseRepositoryName(text) };
  const tag = asTag(text.slice(colon + 1));
  if (tag === undefined) throw new UsageError(`${text} has no valid tag after the colon`);
  return { name: parseRepositoryName(text.slice(0, colon)), reference: { kind: 'tag', tag } };
}

function explain(error: unknown): never {
  if (!(error instanceof RegistryError)) throw error;
  const { name, reference } = (error.detail ?? {}) as { name?: string; reference?: string };
  const what = reference === undefined ? `repository ${name}` : `${name} has no tag or digest ${reference}`;
  if (error.code === 'NAME_UNKNOWN') throw new Failure(`there is no ${what}`);
  if (error.code === 'MANIFEST_UNKNOWN') throw new Failure(what);
  throw error;
}
