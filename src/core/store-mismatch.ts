/** Database and store belong to different registries; neither is served. The message is for the administrator. */
export class StoreMismatch extends Error {
  override readonly name = 'StoreMismatch';
}
