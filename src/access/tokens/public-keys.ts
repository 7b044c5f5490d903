// Parses the public keys of another token server from files: PEM with certificates and keys, or a JSON Web Key Set.
import { createHash, createPublicKey, type KeyObject, type webcrypto } from 'node:crypto';
import { calculateJwkThumbprint, type JWK } from 'jose';

/** A key that tokens may be signed with. */
export interface PublicKey {
  /** Its thumbprint (RFC 7638). */
  readonly id: string;
  readonly key: KeyObject;
  /** Accepted values of `kid`: the thumbprint, the fingerprint of Docker's libtrust, and the key's own `kid`. */
  readonly names: ReadonlySet<string>;
  /** The signature algorithms of the key; never a symmetric one, which would take the public key as its secret. */
  readonly algorithms: readonly string[];
}

/** The file contains no usable keys. The message continues a sentence that begins with the file's name. */
export class UnusableKeys extends Error {
  override readonly name = 'UnusableKeys';
}

const maxKeys = 50;
const minRsaBits = 2048;

const ofRsa = ['RS256', 'RS384', 'RS512'];
const ofCurve: Readonly<Record<string, readonly string[]>> = {
  prime256v1: ['ES256'],
  secp384r1: ['ES384'],
  secp521r1: ['ES512'],
};

const pemBlock = /-----BEGIN ([A-Z0-9 ]+)-----[^-]+-----END \1-----/g;

/** @throws UnusableKeys */
export async function parsePemKeys(text: string): Promise<PublicKey[]> {
  const blocks = [...text.matchAll(pemBlock)];
  if (blocks.length === 0) throw new UnusableKeys('contains no certificate or public key in PEM');
  if (blocks.length > maxKeys) throw new UnusableKeys(`contains more than ${maxKeys} keys`);
  return Promise.all(
    blocks.map((match, i) => {
      const label = match[1] as string;
      if (label.endsWith('PRIVATE KEY')) {
        throw new UnusableKeys(
          'contains a private key: keep that on the token server, and put its certificate here',
        );
      }
      return describe(`block ${i + 1}, ${label}`, () => createPublicKey(match[0]));
    }),
  );
}

/** Skips shared secrets and keys of other types or uses (RFC 7517, 5). @throws UnusableKeys */
export async function parseKeySet(text: string): Promise<PublicKey[]> {
  const jwks = jwksOf(text).filter(signs);
  if (jwks.length === 0) throw new UnusableKeys('contains no key that verifies RS, ES or EdDSA signatures');
  if (jwks.length > maxKeys) throw new UnusableKeys(`contains more than ${maxKeys} keys`);
  return Promise.all(
    jwks.map(async (jwk, i) => {
      const own = typeof jwk.kid === 'string' ? [jwk.kid] : [];
      const { names, algorithms, ...rest } = await describe(`key ${own[0] ?? i + 1}`, createPublicKeyOf(jwk));
      return {
        ...rest,
        names: new Set([...names, ...own]),
        algorithms: jwk.alg === undefined ? algorithms : algorithms.filter((one) => one === jwk.alg),
      };
    }),
  );
}

type Jwk = webcrypto.JsonWebKey & { readonly kid?: unknown; readonly alg?: unknown; readonly use?: unknown };

function createPublicKeyOf(jwk: Jwk): () => KeyObject {
  return () => createPublicKey({ key: jwk, format: 'jwk' });
}

function jwksOf(text: string): Jwk[] {
  let document: { keys?: unknown } | null;
  try {
    document = JSON.parse(text);
  } catch {
    throw new UnusableKeys('is not JSON');
  }
  const keys = document?.keys;
  if (!Array.isArray(keys))
    throw new UnusableKeys('is not a JSON Web Key Set: expected an object with a list "keys"');
  // Other non-objects have no `kty` and are skipped later.
  return keys.filter((key) => key !== null);
}

function signs({ kty, crv, use }: Jwk): boolean {
  if (use !== undefined && use !== 'sig') return false;
  return kty === 'RSA' || kty === 'EC' || (kty === 'OKP' && crv === 'Ed25519');
}

async function describe(what: string, make: () => KeyObject): Promise<PublicKey> {
  let key: KeyObject;
  try {
    key = make();
  } catch (cause) {
    throw new UnusableKeys(`cannot be read: ${what}: ${(cause as Error).message}`, { cause });
  }
  const algorithms = algorithmsOf(key);
  if (typeof algorithms === 'string') throw new UnusableKeys(`cannot be used: ${what}: ${algorithms}`);
  const id = await calculateJwkThumbprint(key.export({ format: 'jwk' }) as JWK);
  return { id, key, names: new Set([id, libtrustFingerprint(key)]), algorithms };
}

/** The key's algorithms, or why it has none. */
function algorithmsOf({
  asymmetricKeyType: type,
  asymmetricKeyDetails: details = {},
}: KeyObject): readonly string[] | string {
  if (type === 'ed25519') return ['EdDSA', 'Ed25519'];
  if (type === 'ec') return ofCurve[details.namedCurve as string] ?? `the curve is ${details.namedCurve}`;
  if (type !== 'rsa') return `the key is of type ${type}`;
  const bits = details.modulusLength as number;
  return bits >= minRsaBits ? ofRsa : `the RSA key has ${bits} bits, but ${minRsaBits} are needed`;
}

const base32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

/** 240 bits of SHA-256 of the key in DER, in base32, with a colon after every four characters. */
function libtrustFingerprint(key: KeyObject): string {
  const hash = createHash('sha256')
    .update(key.export({ format: 'der', type: 'spki' }))
    .digest();
  const bits = [...hash.subarray(0, 30)].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  const letters = bits.replaceAll(/.{5}/g, (five) => base32.charAt(Number.parseInt(five, 2)));
  return letters.replaceAll(/.{4}(?=.)/g, '$&:');
}
