/** The provider sent somebody back without vouching for them; the code is an OAuth one, if it gave any. */
export class NotSignedOn extends Error {
  override readonly name = 'NotSignedOn';
  readonly code: string | undefined;

  constructor(code: string | undefined, options?: { cause?: unknown }) {
    super(
      `the sign-on provider does not vouch for this browser${code === undefined ? '' : ` (${code})`}`,
      options,
    );
    this.code = code;
  }
}

/** The provider cannot be asked; the reason is for the log. */
export class ProviderUnavailable extends Error {
  override readonly name = 'ProviderUnavailable';
}

/** A callback that ends no sign-on of this browser's. */
export class NoAttempt extends Error {
  override readonly name = 'NoAttempt';

  constructor() {
    super('This sign-in was begun more than ten minutes ago, or in another browser.');
  }
}
