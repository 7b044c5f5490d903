// An issuer of ID tokens on this machine, which tests can make misbehave.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, type JWTPayload, SignJWT } from 'jose';
import { cleanUp } from './cleanup.ts';

export interface TestKey {
  readonly privateKey: CryptoKey;
  readonly publicKey: CryptoKey;
  readonly jwk: JWK;
  readonly alg: string;
  readonly kid: string;
}

export async function makeKey(alg = 'RS256', kid = `${alg}-key`): Promise<TestKey> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  return { privateKey, publicKey, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' }, alg, kid };
}

export type Answer = (request: IncomingMessage, response: ServerResponse) => void;

export class TestIssuer {
  /** Paths of all requests. */
  readonly asked: string[] = [];
  /** Answers that replace the usual ones, by path. */
  readonly answers = new Map<string, Answer>();
  keys: readonly TestKey[];
  readonly url: string;

  constructor(url: string, keys: readonly TestKey[]) {
    this.url = url;
    this.keys = keys;
  }

  get askedForKeys(): number {
    return this.asked.filter((path) => path === '/keys').length;
  }

  /**
   * An ID token for the audience `registry.example`, valid for five minutes. `claims` replace the usual ones; `undefined` removes one.
   */
  sign(claims: JWTPayload, { key = this.keys[0] as TestKey, now = Date.now() } = {}): Promise<string> {
    const seconds = Math.floor(now / 1000);
    const usual = { iss: this.url, sub: 'job', aud: 'registry.example', iat: seconds, exp: seconds + 300 };
    return new SignJWT({ ...usual, ...claims })
      .setProtectedHeader({ alg: key.alg, kid: key.kid, typ: 'JWT' })
      .sign(key.privateKey);
  }

  answer(request: IncomingMessage, response: ServerResponse): void {
    const path = request.url as string;
    this.asked.push(path);
    const own = this.answers.get(path);
    if (own) own(request, response);
    else if (path === '/.well-known/openid-configuration') {
      response.end(JSON.stringify({ issuer: this.url, jwks_uri: `${this.url}/keys` }));
    } else if (path === '/keys') {
      response.end(JSON.stringify({ keys: this.keys.map(({ jwk }) => jwk) }));
    } else response.writeHead(404).end();
  }
}

const keyPool: Promise<TestKey>[] = [];
const issuersOf = new WeakMap<TestContext, number>();

/** A key for the next issuer of a test. Tests share keys, as RSA keys take 0.1 s each; the issuers of one test do not. */
function nextKey(t: TestContext): Promise<TestKey> {
  const index = issuersOf.get(t) ?? 0;
  issuersOf.set(t, index + 1);
  keyPool[index] ??= makeKey();
  return keyPool[index];
}

export async function startIssuer(t: TestContext, keys?: readonly TestKey[]): Promise<TestIssuer> {
  let issuer: TestIssuer;
  const server = createServer((request, response) => issuer.answer(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanUp(t, () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  const { port } = server.address() as AddressInfo;
  issuer = new TestIssuer(`http://127.0.0.1:${port}`, keys ?? [await nextKey(t)]);
  return issuer;
}
