// The sign-on provider: authorization code flow with PKCE, state and nonce.
import * as oidc from 'openid-client';
import type { Person } from '../administration/sign-on.ts';
import type { Config } from '../config/schema.ts';
import { boundedFetch } from '../outbound/bounded-fetch.ts';
import { NotSignedOn, ProviderUnavailable } from './provider-errors.ts';

export type ProviderSettings = NonNullable<Config['signOn']>;

/** What one attempt to sign on has to come back with; the browser keeps it meanwhile. */
export interface Attempt {
  readonly state: string;
  readonly nonce: string;
  readonly verifier: string;
}

/** Milliseconds. */
const times = { fresh: 3_600_000, pause: 5_000 };

export class Provider {
  readonly #settings: ProviderSettings;
  readonly #clock: () => number;
  #loading: Promise<oidc.Configuration> | undefined;
  #known: oidc.Configuration | undefined;
  #triedAt = Number.NEGATIVE_INFINITY;
  #failed = false;

  constructor(settings: ProviderSettings, clock: () => number = () => performance.now()) {
    this.#settings = settings;
    this.#clock = clock;
  }

  /** As it is set; tokens may write it with a slash at the end. */
  get issuer(): string {
    return this.#settings.issuer;
  }

  /** Where to send the browser, and what to let it keep. @throws ProviderUnavailable */
  async begin(redirectUri: string): Promise<{ readonly url: string; readonly attempt: Attempt }> {
    const configuration = await this.#configuration();
    const attempt = {
      state: oidc.randomState(),
      nonce: oidc.randomNonce(),
      verifier: oidc.randomPKCECodeVerifier(),
    };
    const url = oidc.buildAuthorizationUrl(configuration, {
      redirect_uri: redirectUri,
      scope: this.#settings.scopes.join(' '),
      state: attempt.state,
      nonce: attempt.nonce,
      code_challenge: await oidc.calculatePKCECodeChallenge(attempt.verifier),
      code_challenge_method: 'S256',
    });
    return { url: url.href, attempt };
  }

  /** Who came back to `url`. @throws ProviderUnavailable | NotSignedOn */
  async finish(url: URL, { state, nonce, verifier }: Attempt): Promise<Person> {
    const configuration = await this.#configuration();
    try {
      const tokens = await oidc.authorizationCodeGrant(configuration, url, {
        expectedState: state,
        expectedNonce: nonce,
        pkceCodeVerifier: verifier,
        idTokenExpected: true,
      });
      const idToken = tokens.claims() as oidc.IDToken;
      // Many providers keep names and groups out of the ID token.
      const more = configuration.serverMetadata().userinfo_endpoint
        ? await oidc.fetchUserInfo(configuration, tokens.access_token, idToken.sub)
        : {};
      const claims: Record<string, unknown> = { ...more, ...idToken };
      return {
        issuer: idToken.iss,
        subject: idToken.sub,
        username: claims[this.#settings.usernameClaim],
        mail: claims.email,
        groups: claims[this.#settings.groupsClaim],
      };
    } catch (error) {
      const unavailable = unavailableIn(error);
      if (unavailable !== undefined) throw unavailable;
      throw new NotSignedOn(error instanceof oidc.AuthorizationResponseError ? error.error : undefined, {
        cause: error,
      });
    }
  }

  /** Read once an hour; a provider that cannot be read is left alone for a moment, and what it said before stays. */
  async #configuration(): Promise<oidc.Configuration> {
    const now = this.#clock();
    if (now - this.#triedAt >= (this.#failed ? times.pause : times.fresh)) {
      this.#triedAt = now;
      this.#failed = false;
      this.#loading = this.#discover().catch((cause) => {
        this.#failed = true;
        if (this.#known !== undefined) return this.#known;
        throw unavailableIn(cause) ?? unavailable(cause);
      });
    }
    this.#known = await this.#loading;
    return this.#known as oidc.Configuration;
  }

  async #discover(): Promise<oidc.Configuration> {
    const { issuer, clientId, clientSecret } = this.#settings;
    const authentication = clientSecret === undefined ? oidc.None() : oidc.ClientSecretBasic(clientSecret);
    const document = new URL(`${issuer}/.well-known/openid-configuration`);
    const configuration = await oidc.discovery(document, clientId, undefined, authentication, {
      // `boundedFetch` lets plain HTTP through on this machine alone.
      execute: [oidc.allowInsecureRequests, oidc.enableNonRepudiationChecks],
      [oidc.customFetch]: (url, options) => ask(url, options as RequestInit),
    });
    // The setting has no slash at its end; some issuers do.
    const { issuer: own } = configuration.serverMetadata();
    if (own.replace(/\/$/, '') !== issuer) throw new Error(`${document} is of another issuer`);
    return configuration;
  }
}

/** @throws ProviderUnavailable, which the library wraps in errors of its own */
async function ask(url: string, init: RequestInit): Promise<Response> {
  const response = await boundedFetch(url, init).catch((cause) => {
    throw unavailable(cause);
  });
  if (response.status >= 500) throw unavailable(new Error(`${url} answers ${response.status}`));
  return response;
}

function unavailable(cause: unknown): ProviderUnavailable {
  return new ProviderUnavailable('the sign-on provider cannot be asked', { cause });
}

function unavailableIn(error: unknown): ProviderUnavailable | undefined {
  if (error instanceof ProviderUnavailable) return error;
  return error instanceof Error ? unavailableIn(error.cause) : undefined;
}
