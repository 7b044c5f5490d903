/** A rule stands against what was asked for. The message is for whoever asked: what is wrong, and what to do about it. */
export class Refused extends Error {
  override readonly name = 'Refused';
}
