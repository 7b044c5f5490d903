// URLs in settings.

/** The schemes of PostgreSQL; the driver parses the rest. */
export const DATABASE_URL_PATTERN = /^postgres(ql)?:\/\//;

/** Whether the text is a URL of a PostgreSQL database; with a Unix socket it may have no host. */
export function isDatabaseUrl(text: string): boolean {
  return DATABASE_URL_PATTERN.test(text) && URL.canParse(text.replace('@/', '@socket/'));
}

/** The HTTP(S) URL without a trailing slash; `undefined` if it is invalid or has more than a host and a path. */
export function parseWebUrl(text: string): string | undefined {
  if (!/^https?:\/\//i.test(text) || /[?#\s]/.test(text)) return undefined;
  const url = URL.parse(text);
  if (url === null || url.username !== '' || url.password !== '') return undefined;
  return url.origin + url.pathname.replace(/\/$/, '');
}
