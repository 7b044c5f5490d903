// berth trust: lets CI jobs log in with ID tokens, without a secret.
import { readFile } from 'node:fs/promises';
import { Argument, InvalidArgumentError, Option } from 'commander';
import type { ClaimRules } from '../access/login/claim-rules.ts';
import { whyRefused } from '../access/login/shared-issuers.ts';
import { showTime } from '../administration/show-time.ts';
import type { TrustRequest } from '../administration/trust-terms.ts';
import { changeTrust, createTrust, removeTrust, trustNamed, trustsOf } from '../administration/trusts.ts';
import type { Config } from '../config/schema.ts';
import { formatDuration, parseDuration } from '../config/units.ts';
import type { Trust } from '../db/trusts.ts';
import { UsageError } from '../failure.ts';
import { requireChange } from './account-flags.ts';
import { type Answer, listAnswer } from './answer.ts';
import { subcommands } from './registry-command.ts';
import { trustTestCommand } from './trust-test.ts';

interface Flags {
  readonly issuer?: string;
  readonly audience?: string;
  readonly claim?: ClaimRules;
  readonly scope?: readonly string[];
  readonly lifetime?: number;
  readonly keys?: string;
  readonly iKnowThisIssuerIsMine?: true;
}

const trust = [new Argument('<organisation>'), new Argument('<name>')];

const terms = [
  new Option('--issuer <url>', 'The issuer of the ID tokens, exactly as in their "iss".'),
  new Option('--audience <text>', 'The audience of the ID tokens ("aud"); default: the host of externalUrl.'),
  new Option(
    '--claim <name=pattern>',
    'A pattern that a claim must match, where * is any text; may be given more than once, and all must match.',
  ).argParser(collectClaim),
  new Option(
    '--scope <scope>',
    "The rights of the jobs: 'repository:ORGANISATION/…:pull,push'; may be given more than once.",
  ).argParser((text: string, before: readonly string[] = []) => [...before, text]),
  new Option(
    '--lifetime <duration>',
    'How long a job may fetch tokens after its login; default: 1h.',
  ).argParser(lifetimeOf),
  new Option('--keys <file>', 'A JSON Web Key Set, for issuers whose keys Berth cannot fetch.'),
  new Option(
    '--i-know-this-issuer-is-mine',
    'Allow broad claims, because no other party runs jobs at this issuer.',
  ),
];

export const trustCommand = subcommands(
  {
    name: 'create',
    description:
      'Accept the ID tokens of an issuer that match every --claim, and give those jobs each --scope.',
    arguments: trust,
    options: terms,
    examples: [
      `berth trust create acme ci --issuer https://token.actions.githubusercontent.com \\
    --claim repository=acme/app --claim ref=refs/heads/main --scope repository:acme/app:pull,push`,
      `berth trust create acme cluster --issuer https://kubernetes.default.svc --audience registry.example.com \\
    --claim kubernetes.io.namespace=ci --scope 'repository:acme/**:pull' --keys jwks.json`,
    ],
    async run(invocation, organisation: string, name: string, flags: Flags) {
      const {
        issuer,
        audience = audienceOf(invocation.config),
        claims = {},
        scopes = [],
        ...rest
      } = await termsOf(flags);
      if (issuer === undefined) throw new UsageError('give the issuer of the ID tokens: --issuer <url>');
      const asked = { ...rest, issuer, audience, claims, scopes };
      return showTrust(await createTrust(await invocation.openForChanges(), organisation, name, asked));
    },
  },
  {
    name: 'set',
    description: 'Change a trust; --claim and --scope replace all former ones. Its jobs must log in again.',
    arguments: trust,
    options: terms,
    examples: ['berth trust set acme ci --claim repository=acme/app --claim "ref=refs/tags/v*"'],
    async run(invocation, organisation: string, name: string, flags: Flags) {
      const changes = await termsOf(flags);
      requireChange(changes);
      return showTrust(await changeTrust(await invocation.openForChanges(), organisation, name, changes));
    },
  },
  {
    name: 'list',
    description: 'List the trusts of an organisation, or all.',
    arguments: [new Argument('[organisation]')],
    async run(invocation, organisation: string | undefined) {
      const { read } = await invocation.openForReading();
      const trusts = (await trustsOf(read, organisation)).map(asJson);
      for (const { organisation, name, refused } of trusts) {
        if (refused !== null) invocation.warn(`trust ${organisation}/${name} accepts no token: ${refused}`);
      }
      return listAnswer(trusts, {
        ORGANISATION: ({ organisation }) => organisation,
        NAME: ({ name }) => name,
        ISSUER: ({ issuer }) => issuer,
        CLAIMS: ({ claims }) => rulesOf(claims).join(' '),
        SCOPES: ({ scopes }) => scopes.join(' '),
      });
    },
  },
  {
    name: 'show',
    description: 'Show a trust.',
    arguments: trust,
    async run(invocation, organisation: string, name: string) {
      const { read } = await invocation.openForReading();
      return showTrust(await trustNamed(read, organisation, name));
    },
  },
  {
    name: 'delete',
    description: 'Delete a trust; its jobs are logged out at once.',
    arguments: trust,
    async run(invocation, organisation: string, name: string) {
      await removeTrust(await invocation.openForChanges(), organisation, name);
      return {
        text: `trust ${organisation}/${name} deleted\n`,
        json: { organisation, name, deleted: true },
      };
    },
  },
  trustTestCommand,
);

function collectClaim(text: string, before: ClaimRules = {}): ClaimRules {
  const equals = text.indexOf('=');
  if (equals < 1) throw new InvalidArgumentError('A rule is NAME=PATTERN, such as repository=acme/app.');
  const name = text.slice(0, equals);
  if (Object.hasOwn(before, name)) throw new InvalidArgumentError(`The claim ${name} is given twice.`);
  return { ...before, [name]: text.slice(equals + 1) };
}

function lifetimeOf(text: string): number {
  const lifetime = parseDuration(text);
  if (lifetime === undefined) {
    throw new InvalidArgumentError('Expected a duration with a unit, such as 30m or 2h.');
  }
  return lifetime;
}

function audienceOf({ externalUrl }: Config): string {
  if (externalUrl !== undefined) return new URL(externalUrl).host;
  throw new UsageError(
    'give the audience of the ID tokens (--audience registry.example.com), or configure externalUrl',
  );
}

/** The terms that the flags give; others are absent. */
async function termsOf({ claim, scope, keys, ...rest }: Flags): Promise<Partial<TrustRequest>> {
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

function asJson({ id: _, scopes, keys, claims, createdAt, updatedAt, ...trust }: Trust) {
  return {
    ...trust,
    claims: JSON.parse(claims) as ClaimRules,
    /** Why Berth no longer accepts tokens by this trust; null if it does. */
    refused: whyRefused({ ...trust, claims }) ?? null,
    scopes: scopes.split(' '),
    keys: keys === null ? null : (JSON.parse(keys) as unknown),
    createdAt: showTime(createdAt),
    updatedAt: showTime(updatedAt),
  };
}

function rulesOf(claims: ClaimRules): string[] {
  return Object.entries(claims).map(([name, pattern]) => `${name}=${pattern}`);
}

function showTrust(row: Trust): Answer {
  const trust = asJson(row);
  const lines = [
    `trust     ${trust.organisation}/${trust.name}`,
    ...(trust.refused === null ? [] : [`refused   accepts no token: ${trust.refused}`]),
    `issuer    ${trust.issuer}`,
    `keys      ${trust.keys === null ? "the issuer's own" : 'given'}`,
    `audience  ${trust.audience}`,
    ...rulesOf(trust.claims).map((rule) => `claim     ${rule}`),
    ...trust.scopes.map((scope) => `scope     ${scope}`),
    `lifetime  ${formatDuration(trust.lifetime)}`,
  ];
  return { text: `${lines.join('\n')}\n`, json: trust };
}
