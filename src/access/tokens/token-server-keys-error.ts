/** The token server's keys cannot be read at the start. The message is for the administrator. */
export class TokenServerKeysError extends Error {
  override readonly name = 'TokenServerKeysError';
}
