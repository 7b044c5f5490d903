// berth audit: what the audit log has, for other programs.
import { Command, InvalidArgumentError, Option } from 'commander';
import { type AuditAction, auditActions } from '../access/audit-actions.ts';
import { parseDuration } from '../config/units.ts';
import type { AuditEventRow, AuditFilter } from '../db/audit-events.ts';
import { asName } from '../oci/name.ts';
import { withExamples } from './administration.ts';
import { configOf, withConfigFlags } from './config-flags.ts';
import type { Context } from './context.ts';
import { inspectExisting } from './existing.ts';

interface Options {
  readonly since?: number;
  readonly until?: number;
  readonly repository?: string;
  readonly actor?: string;
  readonly action?: AuditAction;
  readonly refused?: true;
}

/** Rows in memory at a time. */
const pageSize = 1_000;

export function auditCommand(context: Context): Command {
  const command = new Command('audit').description('Read the audit log: who did what, and what was refused.');
  const exporting = withConfigFlags(command.command('export'))
    .description('Print the events, oldest first, one JSON object a line; the registry may be running.')
    .addOption(new Option('--since <time>', `Only events from then on: ${timeForms}.`).argParser(asTime))
    .addOption(new Option('--until <time>', 'Only events before then.').argParser(asTime))
    .addOption(new Option('--repository <name>', 'Only events of this repository.').argParser(asRepository))
    .option(
      '--actor <name>',
      'Only what this actor did: as it was called then, or by its id, such as user:7.',
    )
    .addOption(new Option('--action <action>', 'Only events of this kind.').argParser(asAction))
    .option('--refused', 'Only what was refused.')
    .action(async (options: Options, command: Command) => {
      const { config } = configOf(command, context);
      const { listAuditEvents } = await import('../db/audit-events.ts');
      await using opened = new AsyncDisposableStack();
      const { read, close } = await inspectExisting(config);
      opened.defer(close);
      const { refused, ...filter } = options;
      const wanted: AuditFilter = { ...filter, ...(refused && { allowed: false }) };
      let after: AuditEventRow | undefined;
      do {
        const page = await listAuditEvents(read, wanted, after, pageSize);
        context.out(page.map((row) => `${JSON.stringify(printed(row))}\n`).join(''));
        after = page.length === pageSize ? page.at(-1) : undefined;
      } while (after !== undefined);
    });
  withExamples(
    exporting,
    'berth audit export --since 7d > week.jsonl',
    'berth audit export --since 2026-01-01 --until 2026-02-01 --repository acme/app',
    'berth audit export --since 1h --refused --config /etc/berth/berth.yaml',
    'berth audit export --actor alice --action tag.delete',
  );
  return command;
}

/** An event as other programs get it, without the fields that it does not have. */
function printed({ id, at, action, allowed, actor, actor_name, credential, detail, ...row }: AuditEventRow) {
  const { address, repository, tag, digest, status, error, request_id } = row;
  const known = Object.entries({ address, repository, tag, digest, status, error, requestId: request_id });
  return {
    id,
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

const timeForms =
  'a duration ago, such as 7d or 12h, a day in UTC, such as 2026-01-31, or 2026-01-31T12:00:00Z';
const day = /^\d{4}-\d\d-\d\d$/;
const instant = /^\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?(?:Z|[+-]\d\d:\d\d)$/;

/** Milliseconds since 1970. */
function asTime(text: string): number {
  const ago = parseDuration(text);
  if (ago !== undefined) return Date.now() - ago;
  const time = day.test(text) || instant.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(time)) throw new InvalidArgumentError(`Allowed: ${timeForms}.`);
  return time;
}

function asRepository(text: string): string {
  const name = asName(text);
  if (name === undefined)
    throw new InvalidArgumentError('Allowed: the name of a repository, such as acme/app.');
  return name;
}

function asAction(text: string): AuditAction {
  if (Object.hasOwn(auditActions, text)) return text as AuditAction;
  throw new InvalidArgumentError(`Allowed: ${Object.keys(auditActions).join(', ')}.`);
}
