/** The storage tree cannot be adopted. The message is for the administrator: the reason and the remedy. */
export class CannotAdopt extends Error {
  override readonly name = 'CannotAdopt';
}
