// The sign-on provider: authorization code flow with PKCE, state and nonce.
import * as oidc from 'openid-client';
import type { Person } from '../administration/sign-on.ts';
import type { Config } from '../config/schema.ts';
import { boundedFetch } from '../outbound/bounded-fetch.ts';
import { NotSignedOn, ProviderUnavailable } from './provider-errors.ts';

export type ProviderSettings = NonNullable<Config['signOn']>;

/** The secrets of one sign-on, which the browser keeps until the callback. */
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

  /** The configured issuer; tokens may have a slash at its end. */
  get issuer(): string {
    return this.#settings.issuer;
  }

  /** Returns the URL for the browser, and the attempt that it keeps. @throws ProviderUnavailable */
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

  /** Returns the person that the provider authenticated; `url` is that of the callback. @throws ProviderUnavailable | NotSignedOn */
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
      // Many providers have names and groups only in the userinfo.
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

  /** Loads the metadata once an hour. After a failure it waits 5 seconds, and uses the former metadata. */
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
      // `boundedFetch` allows plain HTTP only to this machine.
      execute: [oidc.allowInsecureRequests, oidc.enableNonRepudiationChecks],
      [oidc.customFetch]: (url, options) => fetchFromProvider(url, options as RequestInit),
    });
    // The setting has no slash at its end; some issuers have one.
    const { issuer: own } = configuration.serverMetadata();
    if (own.replace(/\/$/, '') !== issuer) throw new Error(`${document} names another issuer: ${own}`);
    return configuration;
  }
}

/** @throws ProviderUnavailable, which the library wraps in its own errors */
async function fetchFromProvider(url: string, init: RequestInit): Promise<Response> {
  const response = await boundedFetch(url, init).catch((cause) => {
    throw unavailable(cause);
  });
  if (response.status >= 500) throw unavailable(new Error(`${url} answered ${response.status}`));
  return response;
}

function unavailable(cause: unknown): ProviderUnavailable {
  return new ProviderUnavailable('the sign-on provider is not available', { cause });
}

function unavailableIn(error: unknown): ProviderUnavailable | undefined {
  if (error instanceof ProviderUnavailable) return error;
  return error instanceof Error ? unavailableIn(error.cause) : undefined;
}
