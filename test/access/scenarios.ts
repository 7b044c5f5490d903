// What is done to a registry with a secret in hand. Whatever comes to take secrets gets a scenario here.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Canaries, Visitor } from './canaries.ts';

export interface Stage {
  readonly visitor: Visitor;
  readonly canaries: Canaries;
  readonly data: string;
}

export type Scenario = (stage: Stage) => Promise<void>;

export const everywhere = [
  '/v2/',
  '/v2/_catalog',
  '/v2/acme/app/manifests/v1',
  '/v2/nothing',
  '/nothing',
  '/metrics',
];

/** One for each way in which a secret reaches the registry; each with what goes wrong on that way. */
export const scenarios: Readonly<Record<string, Scenario>> = {
  async 'passwords in headers'({ visitor, canaries }) {
    for (const path of everywhere) {
      await visitor.send('GET', path, { authorization: canaries.basic('alice', 'a password') });
      await visitor.send('DELETE', path, { authorization: canaries.basic('alice', 'a password') });
      await visitor.send('GET', path, { authorization: `Basic ${canaries.plant('a broken Basic header')}` });
      await visitor.send('GET', path, { authorization: canaries.plant('a header without a scheme') });
      await visitor.send('GET', path, { 'proxy-authorization': canaries.basic('alice', 'for a proxy') });
    }
  },

  async 'a login that succeeds, and what is done with it'({ visitor, canaries }) {
    const authorization = canaries.basic('admin', 'admin.password');
    // Where everybody may do everything there is no administrator, and the login fails.
    await visitor.send('GET', '/v2/', { authorization });
    const digest = `sha256:${createHash('sha256').update('a blob').digest('hex')}`;
    await visitor.send('POST', `/v2/a/b/blobs/uploads/?digest=${digest}`, { authorization }, 'a blob');
    await visitor.send('PUT', '/v2/a/b/manifests/v1', { authorization }, '{}');
    await visitor.send('GET', `/v2/a/b/blobs/${digest}`, { authorization });
    await visitor.send('DELETE', `/v2/a/b/blobs/${digest}`, { authorization });
  },

  async 'tokens in headers and cookies'({ visitor, canaries }) {
    for (const path of everywhere) {
      await visitor.send('GET', path, { authorization: `Bearer ${canaries.plant('an access token')}` });
      await visitor.send('GET', path, { authorization: `Bearer e30.e30.${canaries.plant('a signature')}` });
      await visitor.send('GET', path, { authorization: `Bearer brth_${canaries.plant('a personal token')}` });
      await visitor.send('GET', path, { cookie: `session=${canaries.plant('a cookie')}` });
    }
  },

  async 'tokens in URLs'({ visitor, canaries }) {
    for (const path of everywhere) {
      for (const name of ['access_token', 'token', 'code', 'password', 'access%5Ftoken', 'X-Amz-Signature']) {
        await visitor.send('GET', `${path}?n=1&${name}=${canaries.plant(`${name} in a URL`)}`);
      }
    }
    const secret = canaries.plant('a password before a host');
    const rest = 'HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
    await visitor.sendRaw('an absolute URL', `GET http://alice:${secret}@a/v2/ ${rest}`);
    await visitor.sendRaw('an absolute URL of nothing', `GET http://alice:${secret}@a/nothing ${rest}`);
  },

  async 'requests that are none'({ visitor, canaries }) {
    const secret = canaries.basic('alice', 'a password in a broken request');
    await visitor.sendRaw('a broken header', `GET /v2/ HTTP/1.1\r\nAuthorization: ${secret}\r\n: \0\r\n\r\n`);
    const long = 'x'.repeat(100_000);
    await visitor.sendRaw('a long header', `GET /v2/ HTTP/1.1\r\nAuthorization: ${secret}${long}\r\n\r\n`);
    await visitor.sendRaw(
      'a URL that ends too soon',
      `GET /v2/%?token=${secret} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`,
    );
  },

  async 'logins at the token server'({ visitor, canaries }) {
    const url = '/auth/token?service=berth&scope=repository:acme/app:pull';
    await visitor.send('GET', url, { authorization: canaries.basic('alice', 'a password at login') });
    await visitor.send('GET', `${url}&password=${canaries.plant('a password in the query of a login')}`);
    for (const field of ['password', 'refresh_token', 'subject_token', 'client_secret', 'assertion']) {
      const form = { grant_type: field, service: 'berth', username: 'alice', client_id: 'test' };
      await visitor.send(
        'POST',
        '/auth/token',
        {},
        new URLSearchParams({ ...form, [field]: canaries.plant(field) }),
      );
    }
    await visitor.send(
      'POST',
      '/auth/token',
      { 'content-type': 'application/json' },
      `{"password":"${canaries.plant('a broken body')}`,
    );
  },

  async 'faults of the registry itself'({ visitor, canaries, data }) {
    const content = 'a layer';
    const hex = createHash('sha256').update(content).digest('hex');
    const pushed = await visitor.send(
      'POST',
      `/v2/acme/app/blobs/uploads/?digest=sha256:${hex}`,
      {},
      content,
    );
    await rm(join(data, 'docker/registry/v2/blobs/sha256', hex.slice(0, 2), hex, 'data'), { force: true });
    const pulled = await visitor.send(
      'GET',
      `/v2/acme/app/blobs/sha256:${hex}?token=${canaries.plant('a token of a fault')}`,
      {
        cookie: `session=${canaries.plant('a cookie of a fault')}`,
      },
    );
    if (pushed.ok) assert.ok(pulled.status >= 500, `${pulled.status}`);
  },
};
