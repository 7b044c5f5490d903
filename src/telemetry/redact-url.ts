const hidden = '(hidden)';
/** Maximum characters of a logged URL; URLs of registry clients are shorter. */
const longest = 2_048;

/** Names of parameters with credentials: OAuth's, OpenID Connect's, S3's, and common custom ones. */
const secret =
  /token|passw|secret|assertion|signature|credential|api[-_]?key|^(?:code|code_verifier|state|nonce|error_description|key|sig|auth|authorization|jwt|pat)$/i;
const userinfo = /^([a-z][a-z\d+.-]*:)?\/\/[^/?#]*@/i;

/**
 * A request's URL for the log: without the credentials that some clients put into URLs, and truncated when very long; otherwise
 * unchanged.
 */
export function withoutSecrets(url: string | undefined): string | undefined {
  // Fast path for most URLs.
  if (url === undefined || (url.length <= longest && !url.includes('?') && !url.includes('@'))) return url;
  const question = url.indexOf('?');
  const path = (question === -1 ? url : url.slice(0, question)).replace(userinfo, `$1//${hidden}@`);
  if (question === -1) return cut(path, path.length);
  // Truncated first, to bound the time too.
  const query = url.slice(question, question + Math.max(longest - path.length, 0));
  return cut(path + withoutSecretValues(query), path.length + url.length - question);
}

/** @param length of the whole URL, of which `text` may be the beginning */
function cut(text: string, length: number): string {
  return length <= longest ? text : `${text.slice(0, longest)}... (${length} characters)`;
}

function withoutSecretValues(query: string): string {
  let text = '';
  let start = 0;
  for (let end = 0; end <= query.length; end++) {
    if (end < query.length && query[end] !== '&' && query[end] !== ';') continue;
    text += withoutSecretValue(query.slice(start, end)) + (query[end] ?? '');
    start = end + 1;
  }
  return text;
}

function withoutSecretValue(parameter: string): string {
  const equals = parameter.indexOf('=');
  if (equals === -1) return parameter;
  const name = parameter.slice(0, equals);
  // A question mark starts the query, or a query within the query.
  return secret.test(decoded(name.slice(name.lastIndexOf('?') + 1))) ? `${name}=${hidden}` : parameter;
}

function decoded(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}
