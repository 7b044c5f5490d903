/** Images cannot be exported or imported. The message is for the user: the reason and the remedy. */
export class TransferFailed extends Error {
  override readonly name = 'TransferFailed';
}
