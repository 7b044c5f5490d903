import { randomUUID } from 'node:crypto';
import { decodeProtectedHeader, type JWTPayload, jwtVerify, SignJWT } from 'jose';
import { RegistryError } from '../../oci/errors.ts';
import type { Identity } from '../identity.ts';
import { accessClaims, identityClaims, readAccess, readIdentity } from './claims.ts';
import { type SigningKeys, signingAlgorithm } from './signing-keys.ts';
import {
  type BearerToken,
  clockLeeway,
  type Granted,
  maxTokenLength,
  type TokenVerifier,
} from './token-verifier.ts';
import { VerifiedTokens } from './verified-tokens.ts';

/** The registry's name in challenges: the audience of its tokens. */
export const service = 'berth';

/** Types of tokens; a token of one type is never accepted as another. */
const tokenTypes = {
  access: { typ: 'at+jwt', audience: service },
  refresh: { typ: 'rt+jwt', audience: `${service}/auth/token` },
  sealed: { typ: 'sealed+jwt', audience: `${service}/auth/callback` },
} as const;

type TokenType = (typeof tokenTypes)[keyof typeof tokenTypes];

export interface BearerTokensParts {
  readonly keys: SigningKeys;
  readonly clock: () => number;
  /** Milliseconds. */
  readonly lifetime: number;
  /** Milliseconds. */
  readonly refreshLifetime: number;
  /** Whether passwords are accepted. If not, tokens that were issued for a password are invalid. */
  readonly passwordLogin: boolean;
}

/** Issues and verifies Berth's own tokens: access tokens for the API, and refresh tokens to fetch more of them. */
export class BearerTokens implements TokenVerifier {
  readonly #parts: BearerTokensParts;
  readonly #verified = new VerifiedTokens();

  constructor(parts: BearerTokensParts) {
    this.#parts = parts;
  }

  /**
   * Issues a token for the API. `expiresIn` is in seconds, `issuedAt` in milliseconds since 1970.
   * @param until the end of the credential used, in milliseconds since 1970; the token ends no later
   */
  async issue(
    identity: Identity,
    granted: readonly Granted[],
    catalog: boolean,
    until?: number,
  ): Promise<{ token: string; expiresIn: number; issuedAt: number }> {
    const { clock } = this.#parts;
    const issuedAt = Math.floor(clock() / 1000) * 1000;
    const lifetime = within(this.#parts.lifetime, issuedAt, until);
    const claims = { ...identityClaims(identity), ...accessClaims(granted, catalog) };
    const token = await this.#sign(claims, tokenTypes.access, issuedAt, lifetime);
    return { token, expiresIn: Math.floor(lifetime / 1000), issuedAt };
  }

  verify(token: string): BearerToken | Promise<BearerToken> {
    const { keys, clock } = this.#parts;
    const known = keys.fresh ? this.#verified.get(token, clock()) : undefined;
    if (known !== undefined && keys.get(known.key) !== undefined) return known.bearer;
    return this.#verify(token);
  }

  /** Issues a refresh token for `identity`, which ends at `until` at the latest. */
  issueRefresh(identity: Identity, until?: number): Promise<string> {
    const now = this.#parts.clock();
    const lifetime = within(this.#parts.refreshLifetime, now, until);
    return this.#sign(identityClaims(identity), tokenTypes.refresh, now, lifetime);
  }

  /**
   * Gives the identity of a refresh token; the caller checks in the database whether it is still valid.
   * @throws RegistryError `UNAUTHORIZED`; DatabaseUnavailable
   */
  async verifyRefresh(token: string): Promise<Identity> {
    const { payload } = await this.#read(token, tokenTypes.refresh);
    return this.#identityOf(payload);
  }

  /** Signs claims for `lifetime` milliseconds. Anyone can read them, but only Berth can make them. */
  seal(claims: JWTPayload, lifetime: number): Promise<string> {
    return this.#sign(claims, tokenTypes.sealed, this.#parts.clock(), lifetime);
  }

  /** The claims of {@link seal}; `undefined` if forged or expired. @throws DatabaseUnavailable */
  async unseal(text: string): Promise<JWTPayload | undefined> {
    try {
      return (await this.#read(text, tokenTypes.sealed)).payload;
    } catch (error) {
      if (error instanceof RegistryError && error.code === 'UNAUTHORIZED') return undefined;
      throw error;
    }
  }

  async #verify(token: string): Promise<BearerToken> {
    const { payload, key } = await this.#read(token, tokenTypes.access);
    const identity = this.#identityOf(payload);
    const access = readAccess(payload, { ids: true }) ?? refuse();
    const bearer = { identity, ...access, expires: (payload.exp as number) * 1000 };
    this.#verified.set(token, { bearer, key });
    return bearer;
  }

  #identityOf(payload: JWTPayload): Identity {
    const identity = readIdentity(payload) ?? refuse();
    if (identity.credential.kind === 'password' && !this.#parts.passwordLogin) return refuse();
    return identity;
  }

  async #sign(
    claims: JWTPayload,
    { typ, audience }: TokenType,
    now: number,
    lifetime: number,
  ): Promise<string> {
    const { keys } = this.#parts;
    const [key, issuer] = await Promise.all([keys.signer(), keys.issuer()]);
    const seconds = Math.floor(now / 1000);
    return new SignJWT(claims)
      .setProtectedHeader({ alg: signingAlgorithm, kid: key.id, typ })
      .setIssuer(issuer)
      .setAudience(audience)
      .setIssuedAt(seconds)
      .setNotBefore(seconds)
      .setExpirationTime(seconds + Math.floor(lifetime / 1000))
      .setJti(randomUUID())
      .sign(key.privateKey);
  }

  /** The key's id alone chooses the key and the algorithm; the rest of the header is ignored. */
  async #read(token: string, { typ, audience }: TokenType): Promise<{ payload: JWTPayload; key: string }> {
    const { keys, clock } = this.#parts;
    const id = keyIdOf(token);
    const key = id === undefined ? undefined : await keys.find(id);
    if (key === undefined) return refuse();
    const issuer = await keys.issuer();
    try {
      const { payload } = await jwtVerify(token, key.publicKey, {
        algorithms: [signingAlgorithm],
        typ,
        audience,
        issuer,
        clockTolerance: clockLeeway,
        currentDate: new Date(clock()),
        requiredClaims: ['iat', 'nbf', 'exp'],
      });
      return { payload, key: key.id };
    } catch (cause) {
      return refuse(cause);
    }
  }
}

/** The lifetime in milliseconds from `now`, shortened to end at `until`. */
function within(lifetime: number, now: number, until = Number.POSITIVE_INFINITY): number {
  return Math.min(lifetime, Math.max(0, until - now));
}

function keyIdOf(token: string): string | undefined {
  if (token.length > maxTokenLength) return undefined;
  try {
    const { kid } = decodeProtectedHeader(token);
    if (typeof kid === 'string') return kid;
  } catch {
    // Not a token.
  }
  return undefined;
}

/** @throws RegistryError `UNAUTHORIZED`: only the log says why */
function refuse(cause?: unknown): never {
  throw new RegistryError('UNAUTHORIZED', undefined, { cause });
}
