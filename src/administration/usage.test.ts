import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dialects } from '../../test/support/databases.ts';
import { Client, imageOf, indexOf, ociConfig, refer } from '../../test/support/inject.ts';
import { testRegistry } from '../../test/support/registry.ts';
import { namespaceUsage, registryUsage, repositoryUsage, usageDays } from './usage.ts';

const bytes = (size: number, text = String(size)) => Buffer.alloc(size, text);

for (const { name, open } of dialects) {
  test(`${name}: shows what each tag, repository and namespace needs alone`, async (t) => {
    const { app, database } = await testRegistry(t, {}, async () => ({ database: await open(t) }));
    const registry = new Client(app.http);
    const push = async (repository: string, tag: string | undefined, ...sizes: number[]) => {
      const config = await registry.pushContent(repository, '{}', ociConfig);
      const layers = [];
      for (const size of sizes) layers.push(await registry.pushContent(repository, bytes(size)));
      return registry.pushManifest(repository, imageOf(config, layers), tag);
    };
    await push('acme/app', 'base', 1_000);
    await push('acme/app', 'v1', 1_000, 10_000);
    await push('acme/app', 'v2', 1_000, 20_000);
    await push('acme/web', 'v1', 1_000, 20_000, 40_000);
    await push('other/web', 'v1', 1_000, 5);
    // An index, a child that only it needs, and one that has a tag.
    const child = await push('acme/app', undefined, 300);
    const tagged = await push('acme/app', 'arm', 400);
    await registry.pushManifest('acme/app', indexOf([refer(child), refer(tagged)]), 'multi');

    const repository = await repositoryUsage(database, 'acme/app', 9);
    assert.deepEqual(
      repository.largest.map(({ tag, size, exclusive, frees }) => [tag, size, exclusive, frees]),
      [
        // acme/web holds the layer too.
        ['v2', 21_002, 20_000, 0],
        ['v1', 11_002, 10_000, 10_000],
        ['base', 1_002, 0, 0],
        ['multi', 702, 300, 300],
        // The index needs it.
        ['arm', 402, 0, 0],
      ],
    );
    assert.deepEqual(
      [repository.bytes, repository.exclusive, repository.tags, repository.compared],
      [31_702, 10_700, 5, 5],
    );
    assert.deepEqual(
      (await repositoryUsage(database, 'acme/app', 1)).largest.map(({ tag }) => tag),
      ['v2'],
    );

    await assert.rejects(usageDays(database, 'acm', 9), { message: 'there is no namespace acm' });
    assert.deepEqual(await usageDays(database, 'acme', 9), []);
    const namespace = await namespaceUsage(database, 'acme', 9);
    assert.deepEqual(
      [namespace?.bytes, namespace?.exclusive, namespace?.repositories, namespace?.tags],
      [71_702, 70_700, 2, 6],
    );
    assert.deepEqual(
      namespace?.largest.map(({ name, bytes, exclusive }) => [name, bytes, exclusive]),
      [
        ['acme/web', 61_002, 40_000],
        ['acme/app', 31_702, 10_700],
      ],
    );
    assert.equal(await namespaceUsage(database, 'acm', 9), undefined);

    const whole = await registryUsage(database, 1);
    assert.equal(whole.stored.bytes, 71_707);
    assert.equal(whole.repositoryBytes, 61_002 + 31_702 + 1_007);
    assert.equal(whole.savedBytes, whole.repositoryBytes - 71_707);
    assert.deepEqual(
      whole.namespaces.map(({ namespace }) => namespace),
      ['acme'],
    );
    await assert.rejects(repositoryUsage(database, 'acme/none', 1), /there is no repository acme\/none/);
  });
}
