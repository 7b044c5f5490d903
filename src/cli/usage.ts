// berth usage: what takes the space of a registry.
import { Argument, Option } from 'commander';
import {
  maxCompared,
  type NamespaceDetails,
  namespaceUsage,
  type RegistryUsage,
  type RepositoryDetails,
  registryUsage,
  repositoryUsage,
  usageDays,
} from '../administration/usage.ts';
import { printBytes } from '../core/print-bytes.ts';
import type { UsageDay } from '../db/usage-days.ts';
import { type Answer, describeFields, listAnswer } from './answer.ts';
import { asLimit } from './option-values.ts';
import { singleCommand } from './registry-command.ts';

interface Flags {
  readonly top: number;
  readonly days?: number;
}

export const usageCommand = singleCommand({
  arguments: [
    new Argument(
      '[name]',
      'A namespace, such as acme, or a repository, such as acme/app; default: the whole registry.',
    ),
  ],
  options: [
    new Option('--top <count>', 'How many namespaces, repositories or tags to list, the largest first.')
      .argParser(asLimit)
      .default(20),
    new Option(
      '--days <count>',
      'Show the usage of a namespace or the registry at the start of these days instead.',
    ).argParser(asLimit),
  ],
  examples: ['berth usage', 'berth usage acme', 'berth usage acme/app --top 5', 'berth usage acme --days 30'],
  async run(invocation, name: string | undefined, { top, days }: Flags) {
    const database = await invocation.openForReading();
    if (days !== undefined) {
      const recorded = await usageDays(database, name, days);
      if (recorded.length === 0) invocation.warn('no usage is recorded yet; Berth records it once a day');
      return daysAnswer(recorded);
    }
    if (name === undefined) return registryAnswer(await registryUsage(database, top));
    const found = await namespaceUsage(database, name, top);
    if (found !== undefined) return namespaceAnswer(found);
    const json = await repositoryUsage(database, name, top);
    if (json.compared < json.tags) {
      invocation.warn(`only the first ${maxCompared} of ${json.tags} tags were compared`);
    }
    return repositoryAnswer(json);
  },
});

function registryAnswer(json: RegistryUsage): Answer {
  const { stored, repositoryBytes, savedBytes, trashBytes, namespaces } = json;
  const fields = describeFields({
    stored: `${printBytes(stored.bytes)} in ${stored.blobs} blobs`,
    'sum of all repositories': printBytes(repositoryBytes),
    'saved by sharing blobs': printBytes(savedBytes),
    'in the trash': printBytes(trashBytes),
    'held by no repository': printBytes(stored.unheldBytes),
  });
  const list = listAnswer(namespaces, {
    NAMESPACE: ({ namespace }) => namespace || '(none)',
    SIZE: ({ bytes }) => printBytes(bytes),
    BLOBS: ({ blobs }) => blobs,
    REPOSITORIES: ({ repositories }) => repositories,
    TAGS: ({ tags }) => tags,
  });
  return { text: `${fields}\n${list.text}`, json };
}

function namespaceAnswer(json: NamespaceDetails): Answer {
  const fields = describeFields({
    size: `${printBytes(json.bytes)} in ${json.blobs} blobs`,
    'held by no other namespace': printBytes(json.exclusive),
    'in the trash': printBytes(json.trashBytes),
    repositories: json.repositories,
    tags: json.tags,
  });
  const list = listAnswer(json.largest, {
    REPOSITORY: ({ name }) => name,
    SIZE: ({ bytes }) => printBytes(bytes),
    EXCLUSIVE: ({ exclusive }) => printBytes(exclusive),
    BLOBS: ({ blobs }) => blobs,
    TAGS: ({ tags }) => tags,
  });
  return { text: `${fields}\n${list.text}`, json };
}

function repositoryAnswer(json: RepositoryDetails): Answer {
  const fields = describeFields({
    size: `${printBytes(json.bytes)} in ${json.blobs} blobs`,
    'held by no other repository': printBytes(json.exclusive),
    tags: json.tags,
  });
  const print = (bytes: number | undefined): string => (bytes === undefined ? 'unknown' : printBytes(bytes));
  const list = listAnswer(json.largest, {
    TAG: ({ tag }) => tag,
    SIZE: ({ size }) => print(size),
    EXCLUSIVE: ({ exclusive }) => print(exclusive),
    FREES: ({ frees }) => print(frees),
  });
  return { text: `${fields}\n${list.text}`, json };
}

function daysAnswer(days: readonly UsageDay[]): Answer {
  const rows = days.map((day, i) => ({ ...day, grown: day.bytes - (days[i - 1]?.bytes ?? day.bytes) }));
  return listAnswer(rows, {
    DAY: ({ day }) => new Date(day).toISOString().slice(0, 10),
    SIZE: ({ bytes }) => printBytes(bytes),
    GROWTH: ({ grown }) => `${grown < 0 ? '-' : '+'}${printBytes(Math.abs(grown))}`,
    BLOBS: ({ blobs }) => blobs,
    TAGS: ({ tags }) => tags,
  });
}
