// Every request that needs space, in a namespace with quotas.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { dialects } from '../../test/support/databases.ts';
import { type Answer, assertError, Client, digestOf, serialize } from '../../test/support/inject.ts';
import { testRegistry } from '../../test/support/registry.ts';
import { changeQuota, removeQuota } from '../administration/quotas.ts';
import { rename } from '../administration/rename-repository.ts';
import { removeRepository } from '../administration/repositories.ts';
import { restoreFromTrash } from '../administration/trash.ts';
import { noQuotas } from '../core/quotas.ts';
import { insertAccount } from '../db/accounts.ts';
import type { AccountName } from '../oci/name.ts';

const messageOf = (answer: Answer) => answer.json<{ errors: [{ message: string }] }>().errors[0].message;
const advice = (of: string) =>
  `. Delete tags or images (berth usage ${of} shows the largest), or ask an administrator for a larger quota`;

function assertRefused(answer: Answer, message: string, of = 'acme'): void {
  assertError(answer, 403, 'DENIED');
  assert.equal(messageOf(answer), message + advice(of));
}

for (const { name, open } of dialects) {
  test(`${name}: a namespace cannot get more bytes, tags and repositories than its quota`, async (t) => {
    const { app, database } = await testRegistry(t, {}, async () => ({ database: await open(t) }));
    const registry = new Client(app.http);
    const account = { name: 'acme' as AccountName, kind: 'organisation' } as const;
    await database.transaction((db) => insertAccount(db, account, 1));
    const uploads = '/v2/acme/app/blobs/uploads/';
    const digest = await registry.pushBlob('acme/app', randomBytes(800));
    await registry.pushBlob('other/app', 'other');
    await changeQuota(database, 'acme', { bytes: 1_000, tags: 2, repositories: 2 });

    const big = randomBytes(300);
    const needs = 'namespace acme uses 800 bytes of its 1000 bytes; this blob needs 300 bytes more';
    const location = await registry.openUpload('acme/app');
    assertRefused(await registry.finish(location, digestOf(big), big), needs);
    assert.equal((await registry.get(location)).status, 404, 'the session has ended');
    assertRefused(
      await registry.send('POST', `${uploads}?digest=${digestOf(big)}`, { 'content-type': 'a/b' }, big),
      needs,
    );
    await registry.pushBlob('other/app', big);
    assertRefused(await registry.send('POST', `${uploads}?mount=${digestOf(big)}&from=other/app`), needs);
    assert.equal((await registry.head(`/v2/acme/app/blobs/${digestOf(big)}`)).status, 404);

    // What the namespace holds already needs no space, even in another repository.
    const mounted = await registry.send('POST', `/v2/acme/web/blobs/uploads/?mount=${digest}&from=acme/app`);
    assert.deepEqual([mounted.status, mounted.headers.warning], [201, undefined]);
    assertRefused(
      await registry.send('POST', '/v2/acme/more/blobs/uploads/'),
      'namespace acme uses 2 of its 2 repositories; acme/more would be one more',
    );

    const small = randomBytes(200);
    const last = await registry.finish(await registry.openUpload('acme/app'), digestOf(small), small);
    const warning = '299 - "namespace acme uses 1000 bytes of its 1000 bytes"';
    assert.deepEqual([last.status, last.headers.warning], [201, warning]);
    assertRefused(
      await registry.send('POST', uploads),
      'namespace acme uses 1000 bytes of its 1000 bytes; nothing more can be uploaded',
    );
    // Unless its digest says that the namespace holds it.
    const again = await registry.send('POST', `${uploads}?digest=${digestOf(small)}`, {}, small);
    assert.equal(again.status, 201);

    const image = serialize({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest, size: 800 },
      layers: [],
    });
    assert.equal((await registry.putManifest('acme/app', 'v1', image)).headers.warning, warning);
    const manifest = digestOf(image);
    assertRefused(
      await registry.putManifest('acme/app', `${manifest}?tag=v2&tag=v3`, image),
      'namespace acme uses 1 of its 2 tags; this push needs 2 more',
    );
    assert.equal((await registry.putManifest('acme/app', 'v2', image)).status, 201);
    assert.equal((await registry.putManifest('acme/app', 'v1', image)).status, 201, 'moves no new tag');
    assert.equal((await registry.delete('/v2/acme/app/manifests/v2')).status, 202);
    assert.equal(
      (await registry.putManifest('acme/app', 'v3', image)).status,
      201,
      'a deleted tag makes room',
    );

    await changeQuota(database, 'acme', { bytes: 10, tags: 0 });
    assert.equal((await registry.putManifest('acme/app', 'v4', image)).status, 201, 'no limit of tags');
    await removeQuota(database, 'acme');
    await registry.pushBlob('acme/app', randomBytes(300));
    await changeQuota(database, 'acme/app', { tags: 3 });
    assertRefused(
      await registry.putManifest('acme/app', 'v5', image),
      'repository acme/app uses 3 of its 3 tags; this push needs 1 more',
      'acme/app',
    );
  });

  test(`${name}: one of two concurrent pushes gets the last bytes`, async (t) => {
    const quotas = { namespace: { bytes: 1_000 } };
    const { app, database } = await testRegistry(t, { quotas }, async () => ({ database: await open(t) }));
    const registry = new Client(app.http);
    const blobs = Array.from({ length: 8 }, () => randomBytes(600));
    const locations = await Promise.all(blobs.map(() => registry.openUpload('acme/app')));
    const answers = await Promise.all(
      blobs.map((blob, i) => registry.finish(locations[i]!, digestOf(blob), blob)),
    );
    assert.deepEqual(answers.map(({ status }) => status).sort(), [201, ...Array(7).fill(403)]);
    // Garbage collection deletes the bytes of those that were refused after they were moved.
    const lost = await database.read
      .selectFrom('blobs')
      .leftJoin('repository_blobs', 'repository_blobs.digest', 'blobs.digest')
      .select('blobs.unheld_at')
      .where('repository_blobs.digest', 'is', null)
      .execute();
    assert.ok(lost.every(({ unheld_at }) => unheld_at !== null));
    assert.deepEqual(await database.read.selectFrom('uploads').select('id').execute(), []);
  });

  test(`${name}: a repository moves to another namespace only if it fits, and the trash gives everything back`, async (t) => {
    const { app, database } = await testRegistry(t, {}, async () => ({ database: await open(t) }));
    const registry = new Client(app.http);
    await database.transaction((db) =>
      insertAccount(db, { name: 'acme' as AccountName, kind: 'organisation' }, 1),
    );
    await registry.pushBlob('acme/one', randomBytes(500));
    const digest = await registry.pushBlob('tools/app', randomBytes(600));
    const descriptor = { mediaType: 'application/vnd.oci.empty.v1+json', digest, size: 600 };
    const mediaType = 'application/vnd.oci.image.manifest.v1+json';
    const image = serialize({ schemaVersion: 2, mediaType, config: descriptor, layers: [] });
    for (const tag of ['v1', 'v2']) await registry.putManifest('tools/app', tag, image);

    const move = (from: string, to: string) =>
      rename(database, from, to, { aliasFor: 0, configured: [], quotas: noQuotas, force: false });
    const restore = (text: string, as?: string) =>
      restoreFromTrash(database, text, { immutableTags: [], quotas: noQuotas, ...(as && { as }) });
    const remove = () => removeRepository(database, 'tools/app', { immutableTags: [], trash: true });
    for (const [limits, message] of [
      [{ bytes: 1_000 }, 'acme uses 500 bytes of its 1000 bytes; acme/app would need 600 bytes more'],
      [{ bytes: 0, tags: 1 }, 'acme uses 0 of its 1 tags; acme/app would need 2 more'],
      [{ tags: 0, repositories: 1 }, 'acme uses 1 of its 1 repositories; acme/app would need 1 more'],
    ] as const) {
      await changeQuota(database, 'acme', limits);
      const error = { message: `tools/app cannot be renamed: namespace ${message}${advice('acme')}` };
      await assert.rejects(move('tools/app', 'acme/app'), error);
    }
    await remove();
    await assert.rejects(restore('tools/app', 'acme/app'), /namespace acme uses 1 of its 1 repositories/);
    await restore('tools/app');
    await changeQuota(database, 'acme', { bytes: 1_100, tags: 2, repositories: 2 });
    await move('tools/app', 'acme/app');

    await registry.delete('/v2/acme/app/manifests/v1');
    await changeQuota(database, 'acme/app', { tags: 1 });
    assert.deepEqual((await restore('acme/app:v1')).tags, ['v1']);
  });
}
