/** The target of an export exists and may not be replaced. The message says what to do. */
export class TargetExists extends Error {
  override readonly name = 'TargetExists';
}
