import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeCertificate } from '../../test/support/certificate.ts';
import { temporaryDirectory } from '../../test/support/temporary-directory.ts';
import { registryName } from '../greeting.ts';
import { certificateName } from './certificate-name.ts';

for (const [names, name] of [
  ['DNS:registry.example.com', 'registry.example.com'],
  ['DNS:*.example.com,DNS:registry.example.com,DNS:other.example.com', 'registry.example.com'],
  ['IP:192.0.2.1,DNS:registry.example.com', 'registry.example.com'],
  ['email:a@example.com,URI:https://x.example,IP:192.0.2.1', '192.0.2.1'],
  ['DNS:*.example.com,IP:2001:db8::1', '[2001:db8::1]'],
  ['DNS:*.example.com', undefined],
  [undefined, undefined],
] as const) {
  test(`the host name of a certificate for ${names ?? 'no name'} is ${name}`, async (t) => {
    const { certificate } = makeCertificate(await temporaryDirectory(t), 'a', 1, names);
    assert.equal(certificateName(certificate), name);
  });
}

test('an invalid or missing certificate has no host name', async (t) => {
  const folder = await temporaryDirectory(t);
  const { key } = makeCertificate(folder);
  assert.deepEqual([certificateName(key), certificateName(join(folder, 'nowhere'))], [undefined, undefined]);
});

test('a registry with HTTPS on all addresses is announced with a name of its certificate', async (t) => {
  const tls = makeCertificate(await temporaryDirectory(t), 'a', 1, 'DNS:registry.example.com');
  const place = { listen: { host: '::', port: 5000 }, tls };
  assert.equal(registryName(place, 'https://[::]:5000'), 'registry.example.com:5000');
  assert.equal(registryName(place, 'https://[::]'), 'registry.example.com');
});
