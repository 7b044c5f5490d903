/** The keys cannot be had at the start. The message is for whoever starts Berth. */
export class TokenServerKeysError extends Error {
  override readonly name = 'TokenServerKeysError';
}
