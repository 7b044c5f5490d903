// Checks the terms of a trust, so that no trust accepts the jobs of other tenants by mistake.
import type { JWK } from 'jose';
import type { ClaimRules } from '../access/login/claim-rules.ts';
import { asKeySet } from '../access/login/key-sets.ts';
import { whyTooWide } from '../access/login/shared-issuers.ts';
import { Refused } from '../access/refused.ts';
import { parseScope, printScopes, type Scope } from '../access/scope.ts';
import type { TrustTerms } from '../db/trusts.ts';
import { quote } from '../oci/digest.ts';
import type { Namespace } from '../oci/name.ts';
import { isTrustworthy } from '../outbound/bounded-fetch.ts';
import { parseLine } from './text.ts';

/** The terms of a trust as users write them. */
export interface TrustRequest {
  readonly issuer: string;
  readonly audience: string;
  readonly claims: ClaimRules;
  readonly scopes: readonly string[];
  /** Milliseconds. */
  readonly lifetime: number;
  /** The text of a JSON Web Key Set; `null`: use the issuer's own keys. */
  readonly keys: string | null;
  /** An administrator confirms that no other tenant has jobs at the issuer. */
  readonly ownIssuer: boolean;
}

/** Milliseconds. */
const lifetimes = { min: 60_000, max: 24 * 3_600_000 };

/** @throws Refused */
export function parseTerms(organisation: Namespace, request: TrustRequest): TrustTerms {
  const { lifetime, ownIssuer } = request;
  if (!(lifetime >= lifetimes.min && lifetime <= lifetimes.max)) {
    throw new Refused('a trust’s lifetime must be from 1m to 24h');
  }
  const issuer = parseIssuer(request.issuer);
  return {
    issuer,
    audience: parseLine('an audience', request.audience),
    keys: request.keys === null ? null : parseKeys(request.keys),
    claims: JSON.stringify(parseClaims(issuer, request.claims, ownIssuer)),
    ownIssuer,
    scopes: parseScopes(organisation, request.scopes),
    lifetime,
  };
}

/** Returns the text unchanged: it has to be exactly as in the tokens, with or without a slash at the end. */
function parseIssuer(text: string): string {
  const url = URL.parse(text);
  if (url === null || url.search !== '' || url.hash !== '' || url.username !== '' || /\s/.test(text)) {
    throw new Refused(
      `${quote(text)} is not a valid issuer: an issuer is a URL, such as https://gitlab.example.com`,
    );
  }
  if (!isTrustworthy(url))
    throw new Refused(`the issuer ${text} has to use https, or anyone could impersonate it`);
  return text;
}

function parseScopes(organisation: Namespace, texts: readonly string[]): string {
  if (texts.length === 0) {
    throw new Refused(
      `a trust needs a scope: what jobs may do, such as repository:${organisation}/app:pull,push`,
    );
  }
  return printScopes(texts.map((text) => parseOwnScope(organisation, text)));
}

function parseOwnScope(organisation: Namespace, text: string): Scope {
  const scope = parseScope(text);
  if (scope === undefined) {
    throw new Refused(
      `${quote(text)} is not a valid scope: a scope is repository:PATTERN:ACTION,…, such as repository:${organisation}/app:pull,push`,
    );
  }
  if (!scope.pattern.startsWith(`${organisation}/`)) {
    throw new Refused(
      `the scope ${text} is outside ${organisation}: it has to begin with repository:${organisation}/`,
    );
  }
  return scope;
}

/** Claims that every token has, or that need no rule. */
const ofEveryToken = new Set(['iss', 'aud', 'exp', 'nbf', 'iat']);
const maxRules = 50;

function parseClaims(issuer: string, rules: ClaimRules, ownIssuer: boolean): ClaimRules {
  const entries = Object.entries(rules).map(([name, pattern]): [string, string] => [
    parseLine('the name of a claim', name),
    parseLine(`the pattern of claim ${quote(name)}`, pattern),
  ]);
  if (entries.length > maxRules) throw new Refused(`a trust has at most ${maxRules} rules`);
  if (!entries.some(([name, pattern]) => !ofEveryToken.has(name) && !/^\*+$/.test(pattern))) {
    throw new Refused(
      'a trust needs a rule for a claim that distinguishes its jobs from others of the issuer, such as --claim repository=acme/app',
    );
  }
  const claims = Object.fromEntries(entries);
  const tooWide = whyTooWide({ issuer, claims, ownIssuer });
  if (tooWide !== undefined) throw new Refused(tooWide);
  return claims;
}

/** Accepts only public keys, because the database must not store secrets here. */
function parseKeys(text: string): string {
  let keys: readonly JWK[];
  try {
    keys = asKeySet(JSON.parse(text)).keys;
  } catch (error) {
    throw new Refused(`cannot use these keys: ${(error as Error).message}`);
  }
  if (keys.length === 0) throw new Refused('the key set has no keys');
  if (keys.some((key) => key.kty === 'oct' || key.d !== undefined || key.k !== undefined)) {
    throw new Refused(
      'the key set contains a private or shared key: use public keys only, and create new keys if others could read the file',
    );
  }
  return JSON.stringify({ keys });
}
