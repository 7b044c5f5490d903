// berth quota: limits of what a namespace or a repository may hold.
import { Argument, InvalidArgumentError, Option } from 'commander';
import { allQuotas, changeQuota, removeQuota } from '../administration/quotas.ts';
import { parseSize } from '../config/units.ts';
import { printBytes } from '../core/print-bytes.ts';
import type { Quota } from '../db/quotas.ts';
import { UsageError } from '../failure.ts';
import { listAnswer } from './answer.ts';
import { subcommands } from './registry-command.ts';

const owner = new Argument(
  '<name>',
  'A user or an organisation, whose namespace it is, or a repository such as acme/app.',
);

const others = 'none: no limit; default: the limit of the configuration';

export const quotaCommand = subcommands(
  {
    name: 'set',
    description:
      'Set limits of a namespace or a repository. What is there stays; pushes that need more are refused.',
    arguments: [owner],
    options: [
      new Option(
        '--bytes <size>',
        `Bytes of its blobs, each counted once, such as 10GiB; ${others}.`,
      ).argParser((text) => parseLimit(text, parseSize(text), 'a size, such as 10GiB')),
      new Option('--tags <count>', `Tags; ${others}.`).argParser(parseCount),
      new Option('--repositories <count>', `Repositories of a namespace; ${others}.`).argParser(parseCount),
    ],
    examples: ['berth quota set acme --bytes 10GiB --repositories 50', 'berth quota set acme/app --tags 200'],
    async run(invocation, name: string, limits: Partial<Quota>) {
      const given = { ...pick(limits, 'bytes'), ...pick(limits, 'tags'), ...pick(limits, 'repositories') };
      if (Object.keys(given).length === 0) {
        throw new UsageError('missing option: --bytes, --tags or --repositories');
      }
      await changeQuota(await invocation.openForChanges(), name, given);
      const texts = [
        given.bytes !== undefined && `bytes ${printLimit(given.bytes, printBytes)}`,
        given.tags !== undefined && `tags ${printLimit(given.tags)}`,
        given.repositories !== undefined && `repositories ${printLimit(given.repositories)}`,
      ];
      return {
        text: `limits of ${name}: ${texts.filter(Boolean).join(', ')}\n`,
        json: { name, ...given },
      };
    },
  },
  {
    name: 'delete',
    description: 'Remove all limits of a namespace or a repository; those of the configuration apply again.',
    arguments: [owner],
    examples: ['berth quota delete acme'],
    async run(invocation, name: string) {
      await removeQuota(await invocation.openForChanges(), name);
      return {
        text: `deleted the quota of ${name}; the limits of the configuration apply\n`,
        json: { deleted: name },
      };
    },
  },
  {
    name: 'list',
    description:
      'List the quotas that were set for a namespace or a repository, with what is used of each limit.',
    async run(invocation) {
      const quotas = await Array.fromAsync(allQuotas(await invocation.openForReading()));
      return listAnswer(
        quotas.map(({ id: _, ...quota }) => quota),
        {
          NAME: ({ name }) => name,
          LEVEL: ({ level }) => level,
          BYTES: ({ bytes, used }) => printUsed(used.bytes, bytes, printBytes),
          TAGS: ({ tags, used }) => printUsed(used.tags, tags),
          REPOSITORIES: ({ level, repositories, used }) =>
            level === 'repository' ? '' : printUsed(used.repositories, repositories),
        },
      );
    },
  },
);

function pick<K extends keyof Quota>(limits: Partial<Quota>, name: K): Partial<Pick<Quota, K>> {
  const value = limits[name];
  return value === undefined ? {} : ({ [name]: value } as Pick<Quota, K>);
}

function printLimit(limit: number | null, print: (limit: number) => string = String): string {
  if (limit === null) return 'default';
  return limit === 0 ? 'none' : print(limit);
}

function printUsed(used: number, limit: number | null, print: (count: number) => string = String): string {
  return limit ? `${print(used)} of ${print(limit)}` : printLimit(limit);
}

/** A limit as in {@link Quota}. @throws InvalidArgumentError */
function parseLimit(text: string, value: number | undefined, allowed: string): number | null {
  if (text === 'none') return 0;
  if (text === 'default') return null;
  if (value === undefined || value === 0)
    throw new InvalidArgumentError(`Allowed: ${allowed}, none or default.`);
  return value;
}

function parseCount(text: string): number | null {
  return parseLimit(text, /^\d{1,9}$/.test(text) ? Number(text) : undefined, 'a whole number');
}
