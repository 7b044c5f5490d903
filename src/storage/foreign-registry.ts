/** What is stored there is another registry's. */
export class ForeignRegistry extends Error {
  override readonly name = 'ForeignRegistry';

  /** @param remedy what to choose instead */
  constructor(place: string, remedy: string) {
    super(`${place} holds the images of another registry, which Berth cannot take over; choose ${remedy}`);
  }
}
