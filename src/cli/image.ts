// berth image: shows and deletes images.
import { Argument } from 'commander';
import { inspectImage, removeImage } from '../administration/images.ts';
import { showTime } from '../administration/show-time.ts';
import { deletionRulesOf } from '../core/delete-image.ts';
import { maxListed } from '../core/image-details.ts';
import { printBytes } from '../core/print-bytes.ts';
import type { Descriptor } from '../oci/manifest.ts';
import { type Answer, describeFields, listAnswer } from './answer.ts';
import { subcommands } from './registry-command.ts';

const image = new Argument('<image>', 'The image, such as acme/app:v1 or acme/app@sha256:….');

export const imageCommand = subcommands(
  {
    name: 'inspect',
    description: 'Show an image, an index or an artifact.',
    arguments: [image],
    examples: ['berth image inspect acme/app:v1', 'berth image inspect acme/app:v1 --json'],
    async run(invocation, image: string) {
      const { read } = await invocation.openForReading();
      const { pulledAt, ...details } = await inspectImage(
        { read, store: await invocation.openStore() },
        image,
      );
      const json = { ...details, pulledAt: pulledAt === undefined ? null : showTime(pulledAt) };
      for (const list of ['tags', 'referrers'] as const) {
        if (json.more[list]) invocation.warn(`only the first ${maxListed} ${list} are listed`);
      }
      const fields = describeFields({
        digest: json.digest,
        'media type': json.mediaType,
        'artifact type': json.artifactType && oneLine(json.artifactType),
        size: json.size === undefined ? 'unknown' : printBytes(json.size),
        platforms: json.platforms,
        config: json.config?.digest,
        subject: json.subject?.digest,
        tags: json.tags,
        'last pulled': json.pulledAt ?? 'no pull is recorded',
        ...Object.fromEntries(
          Object.entries(json.annotations).map(([name, text]) => [
            `annotation ${oneLine(name)}`,
            oneLine(text),
          ]),
        ),
      });
      const lists = [
        descriptors('LAYER', json.layers),
        descriptors('MANIFEST', json.manifests),
        descriptors('REFERRER', json.referrers),
      ];
      return { text: [fields, ...lists.filter((text) => text !== '')].join('\n'), json };
    },
  },
  {
    name: 'delete',
    description: 'Delete an image with all its tags; `berth trash restore` restores both.',
    arguments: [image],
    examples: ['berth image delete acme/app:v1', 'berth image delete acme/app@sha256:…'],
    async run(invocation, name: string) {
      const rules = deletionRulesOf(invocation.config);
      const deleted = await removeImage(await invocation.openForChanges(), rules, name);
      const how = rules.trash ? `; "berth trash restore ${deleted}" restores both` : '';
      return { text: `deleted ${deleted} with its tags${how}\n`, json: { deleted } };
    },
  },
);

/** A table of descriptors below the heading; empty if there are none. */
function descriptors(heading: string, list: readonly (Descriptor & { artifactType?: string })[]): string {
  if (list.length === 0) return '';
  const columns: Parameters<typeof listAnswer<(typeof list)[number]>>[1] = {
    [heading]: ({ digest }) => digest,
    SIZE: ({ size }) => printBytes(size),
    TYPE: ({ artifactType, mediaType }) => oneLine(artifactType ?? mediaType),
    ...(list.some(({ platform }) => platform !== undefined) && { PLATFORM: ({ platform }) => platform }),
  };
  return (listAnswer(list, columns) satisfies Answer).text;
}

/** Replaces control characters of a client's text. */
function oneLine(text: string): string {
  return text.replaceAll(/\p{Control}+/gu, ' ');
}
