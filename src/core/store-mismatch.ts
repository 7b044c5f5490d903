/** Database and store belong to different registries; neither is served. The message is for the administrator. */
export class StoreMismatch extends Error {
  override readonly name = 'StoreMismatch';
}

/** The database or the store is an older copy: nothing is deleted or parked. */
export class StoreDisagrees extends Error {
  override readonly name = 'StoreDisagrees';
}
