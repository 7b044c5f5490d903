// Authenticates external jobs by an ID token, sent in place of a password: an organisation's trusts say which jobs it accepts.
import { createLocalJWKSet, decodeJwt, errors, type JWTVerifyGetKey, jwtVerify } from 'jose';
import type { Database } from '../../db/database.ts';
import { isStorable } from '../../db/storable.ts';
import { findTrustsIn, type Trust } from '../../db/trusts.ts';
import { RegistryError } from '../../oci/errors.ts';
import { asNamespace } from '../../oci/name.ts';
import type { Identity } from '../identity.ts';
import { brokenRules, type ClaimRules } from './claim-rules.ts';
import { asKeySet, type KeySets, KeysUnavailable } from './key-sets.ts';
import { whyRefused } from './shared-issuers.ts';

/** Signature algorithms with a private key. Which of them a token may use depends on its key. */
const algorithms = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  ...['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
];

/** Seconds that clocks may differ by. */
const leeway = 30;
/** Seconds after which a token is too old even if it has not expired; no job runs longer. */
const maxAge = 24 * 3_600;
const maxLength = 16 * 1024;
const maxSubject = 1024;
/** Maximum characters of a job's name in logs. */
const maxName = 200;

/** The result of a trust's check of a token: one sentence for each problem; none if the trust accepts the token. */
export interface Verdict {
  readonly trust: Trust;
  readonly problems: readonly string[];
  /** Set if the token cannot be checked now. */
  readonly unavailable?: KeysUnavailable;
}

export interface IdTokensParts {
  readonly database: Pick<Database, 'read'>;
  readonly keySets: KeySets;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
}

export class IdTokens {
  readonly #parts: IdTokensParts;

  constructor(parts: IdTokensParts) {
    this.#parts = parts;
  }

  /**
   * Authenticates a token that is sent to an organisation. If several trusts accept it, the first by name counts. If no trust
   * accepts it, only the error's cause has the reasons.
   * @throws RegistryError `UNAUTHORIZED`; `UNAVAILABLE` if a trust might accept it but the issuer's keys cannot be fetched now
   */
  async authenticate(organisation: string, idToken: string): Promise<Identity> {
    const since = this.#parts.clock();
    const claims = claimsOf(idToken);
    if (typeof claims === 'string') throw refused(claims);
    const verdicts: Verdict[] = [];
    for (const trust of await this.#trusts(organisation, claims)) {
      const verdict = await this.#judge(trust, idToken);
      if (verdict.problems.length === 0) return identityOf(trust, claims.sub, since);
      verdicts.push(verdict);
    }
    const reason = whyNot(organisation, claims, verdicts);
    const unavailable = verdicts.find((verdict) => verdict.unavailable)?.unavailable;
    throw unavailable === undefined ? refused(reason) : undecided(reason, unavailable);
  }

  /**
   * Checks the token against each trust of the organisation for its issuer, to help administrators set them up.
   * @returns a sentence instead if the text is not an ID token
   */
  async explain(
    organisation: string,
    idToken: string,
  ): Promise<{ readonly issuer: string; readonly verdicts: readonly Verdict[] } | string> {
    const claims = claimsOf(idToken);
    if (typeof claims === 'string') return claims;
    const trusts = await this.#trusts(organisation, claims);
    return {
      issuer: claims.iss,
      verdicts: await Promise.all(trusts.map((one) => this.#judge(one, idToken))),
    };
  }

  async #trusts(organisation: string, { iss }: Claimed): Promise<Trust[]> {
    const name = asNamespace(organisation);
    return name === undefined ? [] : findTrustsIn(this.#parts.database.read, name, iss);
  }

  async #judge(trust: Trust, idToken: string): Promise<Verdict> {
    const rules = JSON.parse(trust.claims) as ClaimRules;
    const refused = whyRefused(trust);
    if (refused !== undefined) return { trust, problems: [refused] };
    try {
      const { payload } = await jwtVerify(idToken, this.#keysOf(trust), {
        algorithms,
        issuer: trust.issuer,
        audience: trust.audience,
        requiredClaims: ['exp', 'iat', 'sub'],
        maxTokenAge: maxAge,
        clockTolerance: leeway,
        currentDate: new Date(this.#parts.clock()),
      });
      return { trust, problems: brokenRules(rules, payload) };
    } catch (error) {
      if (error instanceof KeysUnavailable) return { trust, problems: [error.message], unavailable: error };
      if (!isOfClaims(error)) return { trust, problems: [problemOf(error as Error)] };
      // The signature is valid, but the token has expired or has another audience.
      return { trust, problems: [problemOfClaims(error, trust), ...brokenRules(rules, error.payload)] };
    }
  }

  #keysOf({ issuer, keys }: Trust): JWTVerifyGetKey {
    return keys === null ? this.#parts.keySets.of(issuer) : createLocalJWKSet(asKeySet(JSON.parse(keys)));
  }
}

interface Claimed {
  readonly iss: string;
  readonly sub: string;
}

/** The claims, unverified; or why the text is not an ID token. */
function claimsOf(idToken: string): Claimed | string {
  if (idToken.length > maxLength) return `the ID token has more than ${maxLength} characters`;
  try {
    const { iss, sub } = decodeJwt(idToken);
    if (typeof iss !== 'string') return 'the ID token has no issuer';
    if (typeof sub !== 'string' || sub === '') return 'the ID token has no subject';
    if (!isStorable(iss) || !isStorable(sub)) {
      return 'the issuer or the subject contains a character that cannot be stored, such as NUL';
    }
    return sub.length > maxSubject ? `the subject has more than ${maxSubject} characters` : { iss, sub };
  } catch {
    return 'not an ID token';
  }
}

type ClaimsError = errors.JWTClaimValidationFailed | errors.JWTExpired;

function isOfClaims(error: unknown): error is ClaimsError {
  return error instanceof errors.JWTClaimValidationFailed || error instanceof errors.JWTExpired;
}

function problemOfClaims(error: ClaimsError, { audience }: Trust): string {
  const { claim, message, payload } = error;
  if (claim === 'aud')
    return `the audience of the token is ${JSON.stringify(payload.aud)}, not "${audience}"`;
  return error instanceof errors.JWTExpired && claim === 'exp' ? 'the token has expired' : message;
}

function problemOf(error: Error): string {
  if (error instanceof errors.JWSSignatureVerificationFailed)
    return "the signature does not match the issuer's key";
  if (error instanceof errors.JWKSNoMatchingKey) return 'no key of the issuer fits the token';
  if (error instanceof errors.JWKSMultipleMatchingKeys) {
    return 'the token has no "kid", and several keys of the issuer fit it';
  }
  return error.message;
}

function identityOf({ id, organisation, name, updatedAt }: Trust, subject: string, since: number): Identity {
  const whole = `${organisation}/${name}: ${subject}`;
  return {
    principal: {
      kind: 'job',
      trust: id,
      subject,
      name: whole.length <= maxName ? whole : `${whole.slice(0, maxName - 1)}…`,
    },
    credential: { kind: 'id-token', trust: id, since, terms: updatedAt },
  };
}

function whyNot(organisation: string, { iss }: Claimed, verdicts: readonly Verdict[]): string {
  if (verdicts.length === 0) return `${organisation} has no trust for ${iss}`;
  return verdicts.map(({ trust, problems }) => `${trust.name}: ${problems.join(', ')}`).join('; ');
}

/** The detail is the same for every reason, so that guesses reveal nothing. */
function refused(reason: string): RegistryError {
  return new RegistryError('UNAUTHORIZED', 'the ID token is not accepted', {
    cause: new Error(reason),
  });
}

/** The job should try again: its token may be valid. */
function undecided(reason: string, { retryAfter }: KeysUnavailable): RegistryError {
  return new RegistryError('UNAVAILABLE', "the keys of the ID token's issuer are not available now", {
    cause: new Error(reason),
    retryAfter,
  });
}
