// berth trust: lets CI jobs log in with ID tokens, without a secret.

import { readFile } from 'node:fs/promises';
import { type Command, Option } from 'commander';
import type { ClaimRules } from '../access/login/claim-rules.ts';
import { whyRefused } from '../access/login/shared-issuers.ts';
import type { TrustRequest } from '../administration/trust-terms.ts';
import { changeTrust, createTrust, removeTrust, trustNamed, trustsOf } from '../administration/trusts.ts';
import type { Config } from '../config/schema.ts';
import { formatDuration, parseDuration } from '../config/units.ts';
import type { Trust } from '../db/trusts.ts';
import { Failure } from '../failure.ts';
import { type Answer, administer, consult, withAdministrationFlags, withExamples } from './administration.ts';
import type { Context } from './context.ts';
import { showTime, table } from './table.ts';
import { trustTestCommand } from './trust-test.ts';

interface Options {
  readonly issuer?: string;
  readonly audience?: string;
  readonly claim?: ClaimRules;
  readonly scope?: readonly string[];
  readonly lifetime?: number;
  readonly keys?: string;
  readonly iKnowThisIssuerIsMine?: true;
}

export function trustCommand(command: Command, context: Context): void {
  withExamples(
    withTerms(withAdministrationFlags(command.command('create <organisation> <name>')))
      .description(
        'Accept the ID tokens of an issuer that match every --claim, and give those jobs each --scope.',
      )
      .action(async (organisation: string, name: string, options: Options, command: Command) => {
        const { issuer, claim: claims = {}, scope: scopes = [], ...rest } = options;
        if (issuer === undefined) throw new Failure('give the issuer of the ID tokens: --issuer <url>');
        await administer(command, context, async (database, config) => {
          const audience = rest.audience ?? audienceOf(config);
          const given = await termsOf(rest);
          const trust = await createTrust(database, organisation, name, {
            ...given,
            issuer,
            audience,
            claims,
            scopes,
          });
          return shown(trust);
        });
      }),
    `berth trust create acme ci --issuer https://token.actions.githubusercontent.com \\
    --claim repository=acme/app --claim ref=refs/heads/main --scope repository:acme/app:pull,push`,
    `berth trust create acme cluster --issuer https://kubernetes.default.svc --audience registry.example.com \\
    --claim kubernetes.io.namespace=ci --scope 'repository:acme/**:pull' --keys jwks.json`,
  );

  withExamples(
    withTerms(withAdministrationFlags(command.command('set <organisation> <name>')))
      .description('Change a trust; --claim and --scope replace all former ones. Its jobs must log in again.')
      .action(async (organisation: string, name: string, options: Options, command: Command) => {
        if (Object.keys(await termsOf(options)).length === 0) {
          throw new Failure(
            'nothing to change: give --issuer, --audience, --claim, --scope, --lifetime, --keys or --i-know-this-issuer-is-mine',
          );
        }
        await administer(command, context, async (database) => {
          const trust = await changeTrust(database, organisation, name, await termsOf(options));
          return shown(trust);
        });
      }),
    'berth trust set acme ci --claim repository=acme/app --claim "ref=refs/tags/v*"',
  );

  withAdministrationFlags(command.command('list [organisation]'))
    .description('List the trusts of an organisation, or all.')
    .action(async (organisation: string | undefined, _options, command: Command) =>
      consult(command, context, async (database) => {
        const trusts = await trustsOf(database.read, organisation);
        for (const { organisation, name, refused } of trusts.map(judged)) {
          if (refused !== null)
            context.err(`berth: trust ${organisation}/${name} accepts no token: ${refused}\n`);
        }
        const rows = trusts.map((trust) => [
          trust.organisation,
          trust.name,
          trust.issuer,
          claimsOf(trust),
          trust.scopes,
        ]);
        return {
          text: table(['ORGANISATION', 'NAME', 'ISSUER', 'CLAIMS', 'SCOPES'], rows),
          json: trusts.map(asJson),
        };
      }),
    );

  withAdministrationFlags(command.command('show <organisation> <name>'))
    .description('Show a trust.')
    .action(async (organisation: string, name: string, _options, command: Command) =>
      consult(command, context, async (database) => {
        return shown(await trustNamed(database.read, organisation, name));
      }),
    );

  withAdministrationFlags(command.command('delete <organisation> <name>'))
    .description('Delete a trust; its jobs are logged out at once.')
    .action(async (organisation: string, name: string, _options, command: Command) =>
      administer(command, context, async (database) => {
        await removeTrust(database, organisation, name);
        return {
          text: `trust ${organisation}/${name} deleted\n`,
          json: { organisation, name, deleted: true },
        };
      }),
    );

  command.addCommand(trustTestCommand(context));
}

function withTerms(command: Command): Command {
  return command
    .option('--issuer <url>', 'The issuer of the ID tokens, exactly as in their "iss".')
    .option('--audience <text>', 'The audience of the ID tokens ("aud"); default: the host of externalUrl.')
    .addOption(
      new Option(
        '--claim <name=pattern>',
        'A pattern that a claim must match, where * is any text; may be given more than once, and all must match.',
      ).argParser(collectClaim),
    )
    .addOption(
      new Option(
        '--scope <scope>',
        "The rights of the jobs: 'repository:ORGANISATION/…:pull,push'; may be given more than once.",
      ).argParser((text: string, before: readonly string[] = []) => [...before, text]),
    )
    .addOption(
      new Option(
        '--lifetime <duration>',
        'How long a job may fetch tokens after its login; default: 1h.',
      ).argParser(lifetimeOf),
    )
    .option('--keys <file>', 'A JSON Web Key Set, for issuers whose keys Berth cannot fetch.')
    .option('--i-know-this-issuer-is-mine', 'Allow broad claims, as no other party has jobs at this issuer.');
}

function collectClaim(text: string, before: ClaimRules = {}): ClaimRules {
  const equals = text.indexOf('=');
  if (equals < 1) throw new Failure(`--claim ${text}: a rule is NAME=PATTERN, such as repository=acme/app`);
  const name = text.slice(0, equals);
  if (Object.hasOwn(before, name)) throw new Failure(`--claim ${name} is given twice`);
  return { ...before, [name]: text.slice(equals + 1) };
}

function lifetimeOf(text: string): number {
  const lifetime = parseDuration(text);
  if (lifetime === undefined)
    throw new Failure(`--lifetime ${text}: expected a duration with a unit, such as 30m or 2h`);
  return lifetime;
}

function audienceOf({ externalUrl }: Config): string {
  if (externalUrl !== undefined) return new URL(externalUrl).host;
  throw new Failure(
    'give the audience of the ID tokens (--audience registry.example.com), or configure externalUrl',
  );
}

/** Only the given flags. */
async function termsOf({ claim, scope, keys, ...rest }: Options): Promise<Partial<TrustRequest>> {
  const { issuer, audience, lifetime, iKnowThisIssuerIsMine: ownIssuer } = rest;
  return {
    ...(issuer !== undefined && { issuer }),
    ...(audience !== undefined && { audience }),
    ...(claim !== undefined && { claims: claim }),
    ...(scope !== undefined && { scopes: scope }),
    ...(lifetime !== undefined && { lifetime }),
    ...(ownIssuer !== undefined && { ownIssuer }),
    ...(keys !== undefined && { keys: await readFile(keys, 'utf8') }),
  };
}

/** Adds the reason for a trust that Berth no longer accepts. */
function judged(trust: Trust) {
  return {
    ...trust,
    claims: JSON.parse(trust.claims) as ClaimRules,
    refused: whyRefused(trust) ?? null,
  };
}

function asJson(one: Trust) {
  const { id, scopes, keys, createdAt, updatedAt, ...trust } = judged(one);
  return {
    ...trust,
    scopes: scopes.split(' '),
    keys: keys === null ? null : (JSON.parse(keys) as unknown),
    createdAt: showTime(createdAt),
    updatedAt: showTime(updatedAt),
  };
}

function claimsOf({ claims }: Trust): string {
  return Object.entries(JSON.parse(claims) as ClaimRules)
    .map(([name, pattern]) => `${name}=${pattern}`)
    .join(' ');
}

function shown(trust: Trust): Answer {
  const { claims, refused } = judged(trust);
  const lines = [
    `trust     ${trust.organisation}/${trust.name}`,
    ...(refused === null ? [] : [`refused   accepts no token: ${refused}`]),
    `issuer    ${trust.issuer}`,
    `keys      ${trust.keys === null ? "the issuer's own" : 'given'}`,
    `audience  ${trust.audience}`,
    ...Object.entries(claims).map(([name, rule]) => `claim     ${name}=${rule}`),
    ...trust.scopes.split(' ').map((scope) => `scope     ${scope}`),
    `lifetime  ${formatDuration(trust.lifetime)}`,
  ];
  return { text: `${lines.join('\n')}\n`, json: asJson(trust) };
}
