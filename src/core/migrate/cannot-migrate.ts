/** A move cannot continue. The message is for the administrator: the reason and the remedy. */
export class CannotMigrate extends Error {
  override readonly name = 'CannotMigrate';
}
