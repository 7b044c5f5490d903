/** The database and the store are not one registry's: neither is served. The message is for whoever starts Berth. */
export class StoreMismatch extends Error {
  override readonly name = 'StoreMismatch';
}
