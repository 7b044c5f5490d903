import fc from 'fast-check';

/**
 * Text of any code points. `fc.string({ unit: 'binary' })` is the same, but first builds a table of all code points, which takes more
 * than a second in each process.
 */
export function anyText({ maxLength }: { readonly maxLength?: number } = {}): fc.Arbitrary<string> {
  const codePoints = fc.array(fc.nat(0x10ffff), maxLength === undefined ? {} : { maxLength });
  const text = codePoints.map((points) => String.fromCodePoint(...points).toWellFormed());
  return fc.oneof(text, fc.string(maxLength === undefined ? {} : { maxLength }));
}
