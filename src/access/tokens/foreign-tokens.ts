import { decodeProtectedHeader, type JWTPayload, jwtVerify } from 'jose';
import { RegistryError } from '../../oci/errors.ts';
import type { Identity } from '../identity.ts';
import { readAccess } from './claims.ts';
import type { ForeignKeys } from './foreign-keys.ts';
import type { PublicKey } from './public-keys.ts';
import { type BearerToken, clockLeeway, maxTokenLength, type TokenVerifier } from './token-verifier.ts';
import { VerifiedTokens } from './verified-tokens.ts';

export interface ForeignTokensParts {
  readonly keys: ForeignKeys;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  /** The token server's `iss`. */
  readonly issuer: string;
  /** This registry's name in the tokens: their `aud`. */
  readonly service: string;
}

const maxSubject = 255;

/**
 * Verifies tokens of another token server, in Docker's format. Berth accepts the rights in them. Only the configured keys decide
 * the key and the algorithm; keys and certificates in a token are ignored.
 */
export class ForeignTokens implements TokenVerifier {
  readonly #parts: ForeignTokensParts;
  readonly #verified = new VerifiedTokens();

  constructor(parts: ForeignTokensParts) {
    this.#parts = parts;
  }

  verify(token: string): BearerToken | Promise<BearerToken> {
    const { keys, clock } = this.#parts;
    const known = keys.fresh ? this.#verified.get(token, clock()) : undefined;
    if (known !== undefined && keys.all.some(({ id }) => id === known.key)) return known.bearer;
    return this.#verify(token);
  }

  async #verify(token: string): Promise<BearerToken> {
    await this.#parts.keys.refresh();
    let failure: unknown;
    for (const key of this.#candidates(token)) {
      try {
        const bearer = bearerOf(await this.#read(token, key));
        this.#verified.set(token, { bearer, key: key.id });
        return bearer;
      } catch (error) {
        failure = error;
      }
    }
    throw new RegistryError('UNAUTHORIZED', undefined, { cause: failure });
  }

  /** The keys that may have signed the token: the one that `kid` names, or without a `kid` all keys for its algorithm. */
  #candidates(token: string): readonly PublicKey[] {
    if (token.length > maxTokenLength) return [];
    try {
      const { alg, kid } = decodeProtectedHeader(token);
      return this.#parts.keys.all.filter(
        ({ names, algorithms }) =>
          algorithms.includes(alg as string) && (kid === undefined || names.has(kid)),
      );
    } catch {
      return [];
    }
  }

  async #read(token: string, { key, algorithms }: PublicKey): Promise<JWTPayload> {
    const { clock, issuer, service } = this.#parts;
    const { payload } = await jwtVerify(token, key, {
      algorithms: [...algorithms],
      issuer,
      audience: service,
      clockTolerance: clockLeeway,
      currentDate: new Date(clock()),
      requiredClaims: ['exp'],
    });
    return payload;
  }
}

function bearerOf(payload: JWTPayload): BearerToken {
  const { sub = '', exp } = payload;
  const access = readAccess(payload);
  if (access === undefined || typeof sub !== 'string' || sub.length > maxSubject) {
    throw new Error('claim "sub" or "access" is malformed');
  }
  const identity: Identity = { principal: { kind: 'holder', name: sub }, credential: { kind: 'foreign' } };
  return { identity, ...access, expires: (exp as number) * 1000 };
}
