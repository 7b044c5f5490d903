// berth audit: the audit log, as a table for people and as JSON lines for other programs.
import { type Command, InvalidArgumentError, Option } from 'commander';
import { type AuditAction, auditActions } from '../audit/actions.ts';
import {
  type AuditEntry,
  type AuditFilter,
  listAuditEntries,
  listLatestAuditEntries,
} from '../db/audit-events.ts';
import { asName } from '../oci/name.ts';
import { auditTable } from './audit-table.ts';
import { configOf, withRegistryFlags } from './config-flags.ts';
import type { Context } from './context.ts';
import { inspectExisting } from './existing.ts';
import { asLimit, asTime, timeForms } from './option-values.ts';
import { withExamples } from './registry-command.ts';

interface FilterOptions {
  readonly since?: number;
  readonly until?: number;
  readonly repository?: string;
  readonly user?: string;
  readonly action?: AuditAction;
  readonly refused?: true;
}

interface ListOptions extends FilterOptions {
  readonly limit: number;
}

/** Rows in memory at a time. */
const pageSize = 1_000;

export function auditCommand(command: Command, context: Context): void {
  const listing = withFilters(command.command('list', { isDefault: true }))
    .description(
      'Print the latest events as a table, oldest first; the registry may be running. `berth audit` alone does the same.',
    )
    .addOption(
      new Option('--limit <number>', 'Print at most this many events.').argParser(asLimit).default(50),
    )
    .action(async ({ limit, ...options }: ListOptions, command: Command) => {
      await using opened = new AsyncDisposableStack();
      const { read, close } = await inspectExisting(configOf(command, context), context);
      opened.defer(close);
      const latest = await listLatestAuditEntries(read, filterOf(options), limit);
      context.out(auditTable(latest));
    });
  withExamples(
    listing,
    'berth audit list',
    'berth audit list --user alice --since 7d',
    'berth audit list --repository acme/app --refused --limit 200',
  );
  const exporting = withFilters(command.command('export'))
    .description('Print the events, oldest first, one JSON object a line; the registry may be running.')
    .action(async (options: FilterOptions, command: Command) => {
      await using opened = new AsyncDisposableStack();
      const { read, close } = await inspectExisting(configOf(command, context), context);
      opened.defer(close);
      const wanted = filterOf(options);
      let after: AuditEntry | undefined;
      do {
        const page = await listAuditEntries(read, wanted, after, pageSize);
        context.out(page.map((row) => `${JSON.stringify(printed(row))}\n`).join(''));
        after = page.length === pageSize ? page.at(-1) : undefined;
      } while (after !== undefined);
    });
  withExamples(
    exporting,
    'berth audit export --since 7d > week.jsonl',
    'berth audit export --since 2026-01-01 --until 2026-02-01 --repository acme/app',
    'berth audit export --since 1h --refused --config /etc/berth/berth.yaml',
    'berth audit export --user alice --action tag.delete',
  );
}

function withFilters(command: Command): Command {
  return withRegistryFlags(command)
    .addOption(new Option('--since <time>', `Only events since this time: ${timeForms}.`).argParser(asTime))
    .addOption(new Option('--until <time>', 'Only events before this time.').argParser(asTime))
    .addOption(new Option('--repository <name>', 'Only events of this repository.').argParser(asRepository))
    .option(
      '--user <name>',
      'Only events of this user, robot or job: its name at the time of the event, or its id, such as user:7.',
    )
    .addOption(new Option('--action <action>', 'Only events with this action.').argParser(asAction))
    .option('--refused', 'Only refused events.');
}

function filterOf({ refused, since, until, repository, user, action }: FilterOptions): AuditFilter {
  return { since, until, repository, actor: user, action, ...(refused && { allowed: false }) };
}

/** An entry as JSON for other programs, without missing fields. */
function printed({ source, id, at, action, allowed, actor, credential, detail, ...row }: AuditEntry) {
  const { actor_name, address, client, repository, tag, digest, old_digest, status, error, request_id } = row;
  const known = Object.entries({
    ...{ address, client, repository, tag, digest, oldDigest: old_digest },
    ...{ status, error, requestId: request_id },
  });
  return {
    id: source === 'event' ? id : `change:${id}`,
    at: new Date(at).toISOString(),
    action,
    allowed: allowed === 1,
    actor,
    ...(actor_name !== '' && { actorName: actor_name }),
    credential,
    ...Object.fromEntries(known.filter(([, value]) => value !== null)),
    ...(detail !== null && { detail: JSON.parse(detail) }),
  };
}

function asRepository(text: string): string {
  const name = asName(text);
  if (name === undefined) throw new InvalidArgumentError('Allowed: a repository name, such as acme/app.');
  return name;
}

function asAction(text: string): AuditAction {
  if (Object.hasOwn(auditActions, text)) return text as AuditAction;
  throw new InvalidArgumentError(`Allowed: ${Object.keys(auditActions).join(', ')}.`);
}
