/** A move cannot go on as things are. The message is for whoever asked for it: what is in the way, and what to do. */
export class CannotMigrate extends Error {
  override readonly name = 'CannotMigrate';
}
