// Basic credentials (RFC 7617), in UTF-8 as every client of a registry sends them.

export interface Credentials {
  readonly username: string;
  readonly password: string;
}

const form = /^basic +([A-Za-z0-9+/]+={0,2}) *$/i;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The credentials of an `Authorization` header; `undefined` if it is malformed or not Basic. */
export function parseBasic(header: string | undefined): Credentials | undefined {
  const encoded = header && form.exec(header)?.[1];
  if (!encoded) return undefined;
  const bytes = Buffer.from(encoded, 'base64');
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    return undefined;
  }
  const colon = text.indexOf(':');
  return colon === -1 ? undefined : { username: text.slice(0, colon), password: text.slice(colon + 1) };
}
