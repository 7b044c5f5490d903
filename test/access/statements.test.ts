// The hot paths ask the database a fixed number of times.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeUser } from '../support/access.ts';
import { collectQueries } from '../support/count-queries.ts';
import { dialects } from '../support/databases.ts';
import { Client, imageOf, ociConfig } from '../support/inject.ts';
import { fetchToken, makeLogin } from '../support/people.ts';
import { testRegistry } from '../support/registry.ts';

/** On PostgreSQL the blobs and the tag are locked, and the blobs are read again under their lock. */
const most = { SQLite: 8, PostgreSQL: 10 };

for (const { name, open } of dialects) {
  test(`${name}: a push of a manifest with 100 layers makes ${most[name as keyof typeof most]} statements`, async (t) => {
    const parts = async () => ({ database: await open(t) });
    const { app, database } = await testRegistry(t, { anonymous: 'none' }, parts);
    const id = await makeUser(database, 'alice');
    const { headers } = await makeLogin(database, { id, name: 'alice' });
    const anyone = new Client(app.http);
    const bearer = await fetchToken(anyone, headers, 'repository:alice/app:pull,push');
    const client = anyone.as(bearer);
    const config = await client.pushContent('alice/app', '{}', ociConfig);
    const layers = [];
    for (let i = 0; i < 100; i++) layers.push(await client.pushContent('alice/app', `layer ${i}`));
    const image = { ...imageOf(config, layers), annotations: {} };
    await client.pushManifest('alice/app', image, 'warm');

    for (const [what, tag] of [
      ['a new image', 'new'],
      ['a moved tag', 'new'],
    ] as const) {
      const pushed = { ...image, annotations: { what } };
      const sent = await collectQueries(() => client.pushManifest('alice/app', pushed, tag));
      const statements = sent.filter((text) => !/^begin|commit$/i.test(text));
      assert.equal(statements.length, most[name as keyof typeof most], `${what}:\n${statements.join('\n')}`);
    }
  });
}
