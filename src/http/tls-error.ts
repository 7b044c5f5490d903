/** The certificate or its key cannot be used. The message is for administrators. */
export class TlsError extends Error {
  override readonly name = 'TlsError';
}
