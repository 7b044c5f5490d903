// ID tokens of jobs elsewhere, in place of a password: whom an organisation trusts, by what the issuer says of them.
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

/** Signatures that only the issuer can make. Which of them a token may have, its key decides. */
const algorithms = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  ...['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
];

/** Seconds by which clocks may differ. */
const leeway = 30;
/** Seconds after which a token is too old, whatever it says: longer than jobs run. */
const maxAge = 24 * 3_600;
const maxLength = 16 * 1024;
const maxSubject = 1024;
/** Characters of a name in logs. */
const maxName = 200;

/** What a trust makes of a token: the claims that the issuer has signed, and a sentence for each thing that is in the way. */
export interface Verdict {
  readonly trust: Trust;
  readonly problems: readonly string[];
  /** Why nothing can be said of the token now. */
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
   * Who shows the token to an organisation. The first of its trusts, by name, that takes the token is the one that counts. Why
   * none does is in the error's cause alone.
   *
   * @throws RegistryError `UNAUTHORIZED`; `UNAVAILABLE` where one might, but the issuer's keys cannot be had now
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
   * What each trust of the organisation that is for the token's issuer makes of it, for whoever sets them up.
   *
   * @returns a sentence instead, when the token is none
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
      // The issuer has signed what the token says, even where it is not for here or no longer so.
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

/** What the token says, not yet verified; or why it is none. */
function claimsOf(idToken: string): Claimed | string {
  if (idToken.length > maxLength) return `the ID token has more than ${maxLength} characters`;
  try {
    const { iss, sub } = decodeJwt(idToken);
    if (typeof iss !== 'string') return 'the ID token does not say its issuer';
    if (typeof sub !== 'string' || sub === '') return 'the ID token has no subject';
    if (!isStorable(iss) || !isStorable(sub)) {
      return 'the issuer or the subject has a character that cannot be stored, such as NUL';
    }
    return sub.length > maxSubject ? `the subject has more than ${maxSubject} characters` : { iss, sub };
  } catch {
    return 'this is no ID token, but something else';
  }
}

type ClaimsError = errors.JWTClaimValidationFailed | errors.JWTExpired;

function isOfClaims(error: unknown): error is ClaimsError {
  return error instanceof errors.JWTClaimValidationFailed || error instanceof errors.JWTExpired;
}

function problemOfClaims(error: ClaimsError, { audience }: Trust): string {
  const { claim, message, payload } = error;
  if (claim === 'aud') return `the token is for ${JSON.stringify(payload.aud)}, not for "${audience}"`;
  return error instanceof errors.JWTExpired && claim === 'exp' ? 'the token has ended' : message;
}

function problemOf(error: Error): string {
  if (error instanceof errors.JWSSignatureVerificationFailed) return 'the signature is not by the issuer';
  if (error instanceof errors.JWKSNoMatchingKey)
    return 'the issuer has no key that the token could be signed with';
  if (error instanceof errors.JWKSMultipleMatchingKeys) {
    return 'the token does not say (by its "kid") with which of the keys of the issuer it is signed';
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

/** The same for all: who guesses learns nothing of what there is. */
function refused(reason: string): RegistryError {
  return new RegistryError('UNAUTHORIZED', 'the ID token is not accepted here', {
    cause: new Error(reason),
  });
}

/** A job whose token may be good tries again. */
function undecided(reason: string, { retryAfter }: KeysUnavailable): RegistryError {
  return new RegistryError('UNAVAILABLE', "the keys of the ID token's issuer cannot be had now", {
    cause: new Error(reason),
    retryAfter,
  });
}
