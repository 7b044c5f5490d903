/** The directory or bucket belongs to another registry. */
export class ForeignRegistry extends Error {
  override readonly name = 'ForeignRegistry';

  /** @param remedy the setting to change */
  constructor(place: string, remedy: string) {
    super(
      `${place} contains the images of another registry: take them over with \`berth adopt\`, or choose ${remedy}`,
    );
  }
}
