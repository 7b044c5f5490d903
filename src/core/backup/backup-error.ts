/** A backup or a restore cannot continue. The message is for the administrator: the reason and the remedy. */
export class BackupError extends Error {
  override readonly name = 'BackupError';
}
