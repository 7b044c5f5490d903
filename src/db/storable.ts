/**
 * Whether every database keeps the text as it is: PostgreSQL has no form for NUL, and in UTF-8 a lone surrogate becomes another
 * character, so that two texts would be one. What comes from outside is asked this before it becomes part of a query.
 */
export function isStorable(text: string): boolean {
  return !text.includes('\0') && text.isWellFormed();
}

/** PostgreSQL has refused a text that {@link isStorable} was not asked about; the request that brought it is at fault. */
export class UnstorableText extends Error {
  override readonly name = 'UnstorableText';
  /** For the routes that answer with HTTP's own errors. */
  readonly statusCode = 400;

  constructor(options?: { cause?: unknown }) {
    super('a text in the request has a character that cannot be stored, such as NUL', options);
  }
}
