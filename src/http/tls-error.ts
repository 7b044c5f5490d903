/** The certificate or its key cannot be used. The message is for whoever starts Berth. */
export class TlsError extends Error {
  override readonly name = 'TlsError';
}
