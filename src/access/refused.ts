/** A rule forbids the request. The message is shown to the user: what is wrong, and what to do. */
export class Refused extends Error {
  override readonly name = 'Refused';
}
