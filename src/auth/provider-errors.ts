/** The provider did not authenticate the user; `code` is the OAuth error code, if any. */
export class NotSignedOn extends Error {
  override readonly name = 'NotSignedOn';
  readonly code: string | undefined;

  constructor(code: string | undefined, options?: { cause?: unknown }) {
    super(`the sign-on provider refused the sign-in${code === undefined ? '' : ` (${code})`}`, options);
    this.code = code;
  }
}

/** The provider is not reachable or fails; `cause` is for the log. */
export class ProviderUnavailable extends Error {
  override readonly name = 'ProviderUnavailable';
}

/** A callback without a pending sign-on in this browser. */
export class NoAttempt extends Error {
  override readonly name = 'NoAttempt';

  constructor() {
    super('This sign-in began more than ten minutes ago, or in another browser.');
  }
}
