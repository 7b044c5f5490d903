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

/** What the registry is called in its challenges: the audience of its tokens. */
export const service = 'berth';

/** What a token is for; neither passes for the other. */
const uses = {
  access: { typ: 'at+jwt', audience: service },
  refresh: { typ: 'rt+jwt', audience: `${service}/auth/token` },
  sealed: { typ: 'sealed+jwt', audience: `${service}/auth/callback` },
} as const;

type Use = (typeof uses)[keyof typeof uses];

export interface BearerTokensParts {
  readonly keys: SigningKeys;
  readonly clock: () => number;
  /** Milliseconds. */
  readonly lifetime: number;
  /** Milliseconds. */
  readonly refreshLifetime: number;
  /** Whether a password is a way to log in: where it is none any more, what was handed out for one ends. */
  readonly passwordLogin: boolean;
}

/** The tokens that Berth hands out, signed with its own keys: for requests to the API, and for fetching more of those. */
export class BearerTokens implements TokenVerifier {
  readonly #parts: BearerTokensParts;
  readonly #verified = new VerifiedTokens();

  constructor(parts: BearerTokensParts) {
    this.#parts = parts;
  }

  /**
   * A token for the API. `expiresIn` is in seconds, `issuedAt` in milliseconds since 1970.
   *
   * @param until when it has to end, in milliseconds since 1970: the credential that it is fetched with does
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
    const token = await this.#sign(claims, uses.access, issuedAt, lifetime);
    return { token, expiresIn: Math.floor(lifetime / 1000), issuedAt };
  }

  verify(token: string): BearerToken | Promise<BearerToken> {
    const { keys, clock } = this.#parts;
    const known = keys.fresh ? this.#verified.get(token, clock()) : undefined;
    if (known !== undefined && keys.get(known.key) !== undefined) return known.bearer;
    return this.#verify(token);
  }

  /** A token that fetches others in the name of `identity`, until the same time at most. */
  issueRefresh(identity: Identity, until?: number): Promise<string> {
    const now = this.#parts.clock();
    const lifetime = within(this.#parts.refreshLifetime, now, until);
    return this.#sign(identityClaims(identity), uses.refresh, now, lifetime);
  }

  /**
   * Whose refresh token it is; whether that identity still holds is for the database to say.
   * @throws RegistryError `UNAUTHORIZED`; DatabaseUnavailable
   */
  async verifyRefresh(token: string): Promise<Identity> {
    const { payload } = await this.#read(token, uses.refresh);
    return this.#identityOf(payload);
  }

  /** The claims in a form that nobody else can make, for as many milliseconds; whoever has it can read them. */
  seal(claims: JWTPayload, lifetime: number): Promise<string> {
    return this.#sign(claims, uses.sealed, this.#parts.clock(), lifetime);
  }

  /** What was sealed; `undefined` when it was not, or has ended. @throws DatabaseUnavailable */
  async unseal(text: string): Promise<JWTPayload | undefined> {
    try {
      return (await this.#read(text, uses.sealed)).payload;
    } catch (error) {
      if (error instanceof RegistryError && error.code === 'UNAUTHORIZED') return undefined;
      throw error;
    }
  }

  async #verify(token: string): Promise<BearerToken> {
    const { payload, key } = await this.#read(token, uses.access);
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

  async #sign(claims: JWTPayload, { typ, audience }: Use, now: number, lifetime: number): Promise<string> {
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

  /** Which key a token is checked with, and how, the key's id alone decides: whatever else its header says is not looked at. */
  async #read(token: string, { typ, audience }: Use): Promise<{ payload: JWTPayload; key: string }> {
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

/** Milliseconds from `now`. */
function within(lifetime: number, now: number, until = Number.POSITIVE_INFINITY): number {
  return Math.min(lifetime, Math.max(0, until - now));
}

function keyIdOf(token: string): string | undefined {
  if (token.length > maxTokenLength) return undefined;
  try {
    const { kid } = decodeProtectedHeader(token);
    if (typeof kid === 'string') return kid;
  } catch {
    // It is no token.
  }
  return undefined;
}

/** @throws RegistryError `UNAUTHORIZED`: why is nobody's business but the log's */
function refuse(cause?: unknown): never {
  throw new RegistryError('UNAUTHORIZED', undefined, { cause });
}
