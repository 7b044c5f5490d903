/** The store does not answer, or not as it should; a repeat may help. */
export class StoreUnavailable extends Error {
  override readonly name: string = 'StoreUnavailable';
}

/** The store takes no more bytes; by its code, as a full disk would say it. */
export class StoreFull extends StoreUnavailable {
  override readonly name = 'StoreFull';
  readonly code = 'ENOSPC';
}

/** The store understands the call and refuses it, as it will each time: its settings, or the rights on it, have to change. */
export class StoreRefused extends Error {
  override readonly name = 'StoreRefused';
}

/** The place that blobs should lie in cannot be used at all; for whoever starts the program. */
export class StoreUnusable extends Error {
  override readonly name = 'StoreUnusable';
}
