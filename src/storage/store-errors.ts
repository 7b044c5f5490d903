/** The store does not answer, or answers with a temporary error; retrying may help. */
export class StoreUnavailable extends Error {
  override readonly name: string = 'StoreUnavailable';
}

/** The store is full. `code` is the same as for a full disk. */
export class StoreFull extends StoreUnavailable {
  override readonly name = 'StoreFull';
  readonly code = 'ENOSPC';
}

/** The store rejects the call permanently: its settings or the rights on it must change. */
export class StoreRefused extends Error {
  override readonly name = 'StoreRefused';
}

/** The configured store cannot be used, so the server does not start. The message is for the administrator. */
export class StoreUnusable extends Error {
  override readonly name = 'StoreUnusable';
}
