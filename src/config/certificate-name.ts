import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';

/**
 * A host name for the server of a certificate: the first DNS name without a wildcard, else the first IP address, of its subject
 * alternative names (RFC 9525, 6.3); an IPv6 address in brackets. `undefined` if it has none or the file cannot be read.
 *
 * @param file in PEM
 */
export function certificateName(file: string): string | undefined {
  const names = namesOf(file);
  const dns = names.find(({ type, value }) => type === 'DNS' && !value.includes('*'));
  if (dns !== undefined) return dns.value;
  const address = names.find(({ type }) => type === 'IP Address')?.value;
  return address?.includes(':') ? new URL(`https://[${address}]`).hostname : address;
}

function namesOf(file: string): { type: string; value: string }[] {
  let text: string | undefined;
  try {
    text = new X509Certificate(readFileSync(file)).subjectAltName;
  } catch {
    // The listener reports the error.
  }
  // Names with a comma are quoted; DNS names and addresses never have one.
  return (text ?? '').split(', ').flatMap((entry) => {
    const [, type, value] = /^(DNS|IP Address):([^"\s]+)$/.exec(entry) ?? [];
    return type === undefined || value === undefined ? [] : [{ type, value }];
  });
}
