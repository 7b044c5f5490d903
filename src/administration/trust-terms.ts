// What a trust may say: rules that keep strangers out of an organisation whoever writes the trust.
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

/** The terms of a trust, as people write them. */
export interface TrustRequest {
  readonly issuer: string;
  readonly audience: string;
  readonly claims: ClaimRules;
  readonly scopes: readonly string[];
  /** Milliseconds. */
  readonly lifetime: number;
  /** The text of a JSON Web Key Set; `null`: the issuer's own. */
  readonly keys: string | null;
  /** All jobs of the issuer are the administrators' own, as they say. */
  readonly ownIssuer: boolean;
}

/** Milliseconds. */
const lifetimes = { min: 60_000, max: 24 * 3_600_000 };

/** @throws Refused */
export function parseTerms(organisation: Namespace, request: TrustRequest): TrustTerms {
  const { lifetime, ownIssuer } = request;
  if (!(lifetime >= lifetimes.min && lifetime <= lifetimes.max)) {
    throw new Refused('a trust’s lifetime is from 1m to 24h');
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

/** As the tokens spell it: with a slash at the end, or without. */
function parseIssuer(text: string): string {
  const url = URL.parse(text);
  if (url === null || url.search !== '' || url.hash !== '' || url.username !== '' || /\s/.test(text)) {
    throw new Refused(`${quote(text)} is no issuer: an issuer is a URL, such as https://gitlab.example.com`);
  }
  if (!isTrustworthy(url)) throw new Refused(`the issuer ${text} has to be https, or everyone could be it`);
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
      `${quote(text)} is no scope: a scope is repository:PATTERN:ACTION,…, such as repository:${organisation}/app:pull,push`,
    );
  }
  if (!scope.pattern.startsWith(`${organisation}/`)) {
    throw new Refused(
      `the scope ${text} is not inside ${organisation}: it has to begin with repository:${organisation}/`,
    );
  }
  return scope;
}

/** What every token says and no rule is needed for. */
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
      'a trust needs a rule for a claim that tells its jobs from others of the issuer, such as --claim repository=acme/app',
    );
  }
  const claims = Object.fromEntries(entries);
  const tooWide = whyTooWide({ issuer, claims, ownIssuer });
  if (tooWide !== undefined) throw new Refused(tooWide);
  return claims;
}

/** Public keys alone: what is kept here is no secret. */
function parseKeys(text: string): string {
  let keys: readonly JWK[];
  try {
    keys = asKeySet(JSON.parse(text)).keys;
  } catch (error) {
    throw new Refused(`these keys cannot be used: ${(error as Error).message}`);
  }
  if (keys.length === 0) throw new Refused('the key set has no keys');
  if (keys.some((key) => key.kty === 'oct' || key.d !== undefined || key.k !== undefined)) {
    throw new Refused(
      'the key set holds a secret, private or shared: give the public keys alone, and make new ones if others could read the file',
    );
  }
  return JSON.stringify({ keys });
}
