import assert from 'node:assert/strict';
import type { FastifyInstance } from 'fastify';
import { logIn } from './oidc-provider.ts';

/** The registry's external URL. */
export const origin = 'https://registry.example';

/** A simulated browser: keeps cookies and sends forms with the headers of browsers. */
export class TestBrowser {
  readonly #http: FastifyInstance;
  readonly cookies = new Map<string, string>();
  setCookies: string[] = [];

  constructor(http: FastifyInstance) {
    this.#http = http;
  }

  async get(url: string, headers: Record<string, string> = {}) {
    return this.#send('GET', url, headers);
  }

  async post(
    url: string,
    fields: Record<string, string>,
    headers: Record<string, string | undefined> = { 'sec-fetch-site': 'same-origin', origin },
  ) {
    const given = Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== undefined));
    const type = { 'content-type': 'application/x-www-form-urlencoded' };
    return this.#send(
      'POST',
      url,
      { ...type, ...(given as Record<string, string>) },
      `${new URLSearchParams(fields)}`,
    );
  }

  async #send(method: 'GET' | 'POST', url: string, headers: Record<string, string>, payload?: string) {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const answer = await this.#http.inject({
      method,
      url: url.replace(origin, ''),
      headers: { ...(cookie && { cookie }), ...headers },
      ...(payload !== undefined && { payload }),
    });
    this.setCookies = [answer.headers['set-cookie'] ?? []].flat();
    for (const line of this.setCookies) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (/Max-Age=0/.test(line)) this.cookies.delete(name);
      else this.cookies.set(name, value);
    }
    return answer;
  }

  /** Signs on at the provider as `subject` and returns to the registry. */
  async signOn(subject: string, to?: string) {
    const query = to === undefined ? '' : `?${new URLSearchParams({ to })}`;
    const leaving = await this.get(`/auth/sign-in/provider${query}`);
    assert.equal(leaving.statusCode, 303, leaving.body);
    return this.get(await logIn(leaving.headers.location as string, subject));
  }

  /** Fields of the account page's forms. */
  async formToken(): Promise<string> {
    return formTokenOf((await this.get('/auth/account')).body);
  }
}

function formTokenOf(page: string): string {
  const [, token = ''] = /name="form" value="([^"]+)"/.exec(page) ?? [];
  assert.notEqual(token, '', page);
  return token;
}
