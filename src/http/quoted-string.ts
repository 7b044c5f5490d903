/** A quoted string (RFC 9110, 5.6.4); escapes the text, which may be input of the request. Drops all but printable ASCII. */
export function quotedString(text: string): string {
  return `"${text.replaceAll(/[^\x20-\x7e]/g, '').replaceAll(/["\\]/g, '\\$&')}"`;
}
