// `Location`: a path, or with `absoluteLocations` a whole URL, in every answer that has one.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Answer, connect, digestOf, type Headers } from '../../test/support/inject.ts';

/** The Location of one answer of each kind. */
async function locations(
  t: Parameters<typeof connect>[0],
  config: object,
  headers: Headers,
): Promise<string[]> {
  const plain = await connect(t, { ...config });
  const client = plain.as(headers);
  const digest = digestOf('bytes');
  const path = (answer: Answer) => new URL(answer.headers.location as string, 'http://x').pathname;
  const opened = await client.send('POST', '/v2/a/blobs/uploads/');
  const session = path(opened);
  const patched = await client.patch(session, 'bytes');
  const answers = [
    opened,
    patched,
    await client.get(session),
    await client.patch(session, 'x', '9-9'),
    await client.finish(session, digest),
    await client.send('POST', `/v2/a/blobs/uploads/?digest=${digest}`, {}, 'bytes'),
    await client.send('POST', `/v2/b/blobs/uploads/?mount=${digest}&from=a`),
    await client.putManifest('a', 'v1', await client.image('a')),
  ];
  assert.deepEqual(
    answers.map(({ status }) => status),
    [202, 202, 204, 416, 201, 201, 201, 201],
  );
  for (const answer of answers) assert.match(path(answer), /^\/v2\/[ab]\/(blobs|manifests)\//);
  return answers.map(({ headers }) => headers.location as string);
}

const forwarded = { host: 'inner:5000', 'x-forwarded-host': 'r.example', 'x-forwarded-proto': 'https' };
const trustedProxies = ['127.0.0.0/8'];
for (const [config, headers, base] of [
  [{}, {}, ''],
  [{ externalUrl: 'https://r.example' }, {}, ''],
  [{ absoluteLocations: true }, { host: 'r.example:5000' }, 'http://r.example:5000'],
  [{ absoluteLocations: true }, forwarded, 'http://inner:5000'],
  [{ absoluteLocations: true, trustedProxies }, forwarded, 'https://r.example'],
  [{ absoluteLocations: true, externalUrl: 'https://hub.example' }, forwarded, 'https://hub.example'],
  // With an invalid host, Location stays a path.
  [{ absoluteLocations: true }, { host: "evil'x" }, ''],
] as [object, Headers, string][]) {
  test(`with ${JSON.stringify(config)} Location begins with ${base || 'the path'} for ${JSON.stringify(headers)}`, async (t) => {
    for (const location of await locations(t, config, headers)) {
      assert.ok(location.startsWith(`${base}/v2/`), location);
    }
  });
}

test('Link stays a path when Location is a URL, because clients refuse a Link to another host', async (t) => {
  const client = await connect(t, { absoluteLocations: true });
  await client.pushImage('a', 'v1');
  await client.pushImage('a', 'v2');
  assert.equal((await client.walk('/v2/a/tags/list?n=1')).length, 2);
});
