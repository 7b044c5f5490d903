// Requests that send secrets to a registry. A new route or header that takes a secret gets a scenario here.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Canaries, RecordingClient } from './canaries.ts';

export interface ScenarioContext {
  readonly client: RecordingClient;
  readonly canaries: Canaries;
  readonly data: string;
}

export type Scenario = (context: ScenarioContext) => Promise<void>;

export const everywhere = [
  '/v2/',
  '/v2/_catalog',
  '/v2/acme/app/manifests/v1',
  '/v2/nothing',
  '/nothing',
  '/metrics',
];

/** A scenario for each way in which a secret reaches the registry, with the failures of that way. */
export const scenarios: Readonly<Record<string, Scenario>> = {
  async 'passwords in headers'({ client, canaries }) {
    for (const path of everywhere) {
      await client.send('GET', path, { authorization: canaries.basic('alice', 'a password') });
      await client.send('DELETE', path, { authorization: canaries.basic('alice', 'a password') });
      await client.send('GET', path, { authorization: `Basic ${canaries.plant('a broken Basic header')}` });
      await client.send('GET', path, { authorization: canaries.plant('a header without a scheme') });
      await client.send('GET', path, { 'proxy-authorization': canaries.basic('alice', 'for a proxy') });
    }
  },

  async 'a successful login and requests with it'({ client, canaries }) {
    const authorization = canaries.basic('admin', 'admin.password');
    // If anonymous callers may push, there is no administrator, and the login fails.
    await client.send('GET', '/v2/', { authorization });
    const digest = `sha256:${createHash('sha256').update('a blob').digest('hex')}`;
    await client.send('POST', `/v2/a/b/blobs/uploads/?digest=${digest}`, { authorization }, 'a blob');
    await client.send('PUT', '/v2/a/b/manifests/v1', { authorization }, '{}');
    await client.send('GET', `/v2/a/b/blobs/${digest}`, { authorization });
    await client.send('DELETE', `/v2/a/b/blobs/${digest}`, { authorization });
  },

  async 'tokens in headers and cookies'({ client, canaries }) {
    for (const path of everywhere) {
      await client.send('GET', path, { authorization: `Bearer ${canaries.plant('an access token')}` });
      await client.send('GET', path, { authorization: `Bearer e30.e30.${canaries.plant('a signature')}` });
      await client.send('GET', path, { authorization: `Bearer brth_${canaries.plant('a personal token')}` });
      await client.send('GET', path, { cookie: `session=${canaries.plant('a cookie')}` });
    }
  },

  async 'tokens in URLs'({ client, canaries }) {
    for (const path of everywhere) {
      for (const name of ['access_token', 'token', 'code', 'password', 'access%5Ftoken', 'X-Amz-Signature']) {
        await client.send('GET', `${path}?n=1&${name}=${canaries.plant(`${name} in a URL`)}`);
      }
    }
    const secret = canaries.plant('a password before a host');
    const rest = 'HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
    await client.sendRaw('an absolute URL', `GET http://alice:${secret}@a/v2/ ${rest}`);
    await client.sendRaw(
      'an absolute URL with an unknown path',
      `GET http://alice:${secret}@a/nothing ${rest}`,
    );
  },

  async 'malformed requests'({ client, canaries }) {
    const secret = canaries.basic('alice', 'a password in a broken request');
    await client.sendRaw('a broken header', `GET /v2/ HTTP/1.1\r\nAuthorization: ${secret}\r\n: \0\r\n\r\n`);
    const long = 'x'.repeat(100_000);
    await client.sendRaw('a long header', `GET /v2/ HTTP/1.1\r\nAuthorization: ${secret}${long}\r\n\r\n`);
    await client.sendRaw(
      'a URL with an incomplete escape',
      `GET /v2/%?token=${secret} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`,
    );
  },

  async 'logins at the token server'({ client, canaries }) {
    const url = '/auth/token?service=berth&scope=repository:acme/app:pull';
    await client.send('GET', url, { authorization: canaries.basic('alice', 'a password at login') });
    await client.send('GET', `${url}&password=${canaries.plant('a password in the query of a login')}`);
    for (const field of ['password', 'refresh_token', 'subject_token', 'client_secret', 'assertion']) {
      const form = { grant_type: field, service: 'berth', username: 'alice', client_id: 'test' };
      await client.send(
        'POST',
        '/auth/token',
        {},
        new URLSearchParams({ ...form, [field]: canaries.plant(field) }),
      );
    }
    await client.send(
      'POST',
      '/auth/token',
      { 'content-type': 'application/json' },
      `{"password":"${canaries.plant('a broken body')}`,
    );
  },

  async 'internal errors'({ client, canaries, data }) {
    const content = 'a layer';
    const hex = createHash('sha256').update(content).digest('hex');
    const pushed = await client.send('POST', `/v2/acme/app/blobs/uploads/?digest=sha256:${hex}`, {}, content);
    await rm(join(data, 'docker/registry/v2/blobs/sha256', hex.slice(0, 2), hex, 'data'), { force: true });
    const pulled = await client.send(
      'GET',
      `/v2/acme/app/blobs/sha256:${hex}?token=${canaries.plant('a token in a failing request')}`,
      {
        cookie: `session=${canaries.plant('a cookie in a failing request')}`,
      },
    );
    if (pushed.ok) assert.ok(pulled.status >= 500, `${pulled.status}`);
  },
};
