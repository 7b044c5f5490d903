/** An archive cannot be read or is not accepted. The message is for the user: what is wrong with which file of it. */
export class InvalidArchive extends Error {
  override readonly name = 'InvalidArchive';
}
