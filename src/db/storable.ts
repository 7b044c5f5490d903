/**
 * Whether every database stores the text unchanged: PostgreSQL rejects NUL, and UTF-8 replaces a lone surrogate by another
 * character, so that different texts would become equal. Check text from clients before using it in a query.
 */
export function isStorable(text: string): boolean {
  return !text.includes('\0') && text.isWellFormed();
}

/** PostgreSQL rejected a text that was not checked with {@link isStorable}; a client error. */
export class UnstorableText extends Error {
  override readonly name = 'UnstorableText';
  /** For routes without OCI errors. */
  readonly statusCode = 400;

  constructor(options?: { cause?: unknown }) {
    super('the request contains a character that cannot be stored, such as NUL', options);
  }
}

const maxText = 512;
const harmless = /^[ -~]*$/;

/** Shortens a text for logs to {@link maxText} characters, and replaces those that databases refuse or terminals interpret. */
export function cleanText(text: string): string {
  if (text.length <= maxText && harmless.test(text)) return text;
  return text
    .slice(0, maxText)
    .toWellFormed()
    .replaceAll(/\p{Cc}/gu, '\u{fffd}');
}
