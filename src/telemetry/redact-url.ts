const hidden = '(hidden)';

/** Names of parameters whose values let somebody in: OAuth's and OpenID Connect's, S3's, and what people make up. */
const secret =
  /token|passw|secret|assertion|signature|credential|api[-_]?key|^(?:code|code_verifier|key|sig|auth|authorization|jwt|pat)$/i;
const userinfo = /^([a-z][a-z\d+.-]*:)?\/\/[^/?#]*@/i;

/** A request's URL as it may be logged: without the credentials that some clients put into URLs. The rest is as it was sent. */
export function withoutSecrets(url: string | undefined): string | undefined {
  // Next to none has either, and all of them pass here.
  if (url === undefined || !(url.includes('?') || url.includes('@'))) return url;
  const question = url.indexOf('?');
  const [path, query] = question === -1 ? [url, ''] : [url.slice(0, question), url.slice(question)];
  return path.replace(userinfo, `$1//${hidden}@`) + query.replaceAll(/([?&;])([^=&;]*)=([^&;]*)/g, hideValue);
}

function hideValue(pair: string, separator: string, name: string): string {
  return secret.test(decoded(name)) ? `${separator}${name}=${hidden}` : pair;
}

function decoded(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}
