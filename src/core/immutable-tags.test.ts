// Immutable tags, whatever changes them: pushes, deletions, and rules that are added at the same time.
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import fc from 'fast-check';
import { insertTags } from '../../test/support/crowd.ts';
import { dialects, makeOrganisation, openReplica, repositoryName } from '../../test/support/databases.ts';
import { longestTurnOf } from '../../test/support/main-thread.ts';
import { makeManifest } from '../../test/support/manifests.ts';
import { pauseAt } from '../../test/support/paused-database.ts';
import { openMigratedPostgres } from '../../test/support/postgres.ts';
import { Refused } from '../access/refused.ts';
import { addTagRule, type RuleOwnerName, removeTagRule } from '../administration/tag-rules.ts';
import { system } from '../db/changes.ts';
import type { Database } from '../db/database.ts';
import { findRepository } from '../db/repositories.ts';
import { RegistryError } from '../oci/errors.ts';
import { parseReference, parseTag } from '../oci/reference.ts';
import { asTagRule, type TagRule } from '../oci/tag-rule.ts';
import { deleteRepository, refuseImmutableRepository } from './delete-repository.ts';
import { Manifests } from './manifests.ts';

const contents = ['first', 'second', 'third'].map(makeManifest);
const [first, second] = contents as [(typeof contents)[0], (typeof contents)[0]];

class Registry {
  readonly database: Database;
  readonly configured: readonly TagRule[];
  readonly #manifests: Manifests;

  constructor(database: Database, configured: readonly string[] = []) {
    this.database = database;
    this.configured = configured.map((text) => asTagRule(text) as TagRule);
    const parts = { clock: () => 1, missingReferences: 'all', immutableTags: this.configured } as const;
    this.#manifests = new Manifests({ database, ...parts });
  }

  /** @param reference a tag, or the manifest's digest if absent; `tags` are for a push by digest */
  async put(what: typeof first, reference = what.digest as string, tags: readonly string[] = []) {
    await this.#manifests.put(repositoryName, parseReference(reference), {
      ...what,
      tags: tags.map(parseTag),
      conditions: {},
      rights: { mayCreate: true, mayUpdate: true },
      by: system,
    });
  }

  delete(reference: string): Promise<void> {
    return this.#manifests.delete(repositoryName, parseReference(reference), system);
  }

  async deleteRepository(): Promise<void> {
    await this.database.transaction(async (db) => {
      const id = await findRepository(db, repositoryName);
      if (id === undefined) throw new RegistryError('NAME_UNKNOWN');
      await refuseImmutableRepository(db, { repository: id, name: repositoryName }, this.configured);
      await deleteRepository(db, id, 1);
    });
  }

  digestAt(reference: string): Promise<string | undefined> {
    return this.#manifests.get(repositoryName, parseReference(reference)).then(
      ({ digest }) => digest,
      () => undefined,
    );
  }
}

/** The message of a refusal. */
async function refusal(request: Promise<unknown>): Promise<string> {
  const error = await request.then(
    () => undefined,
    (error: unknown) => error,
  );
  assert.ok(error instanceof RegistryError && error.code === 'DENIED', String(error));
  return error.message;
}

test('all code that moves or deletes tags asks whether they are immutable', () => {
  const source = new URL('..', import.meta.url);
  const paths = globSync('**/*.ts', { cwd: source, exclude: (path) => path.endsWith('.test.ts') });
  const changing = paths.filter((path) => {
    if (path.startsWith('db/')) return false;
    const text = readFileSync(new URL(path, source), 'utf8');
    return /\b(moveTag|moveAndRecordTag|deleteTag|deleteTagsOf|deleteRepositoryRows|hideRepository)\(/.test(
      text,
    );
  });
  assert.deepEqual(changing.sort(), [
    'core/adopt/write-tags.ts',
    'core/delete-image.ts',
    'core/delete-repository.ts',
    'core/move-tags.ts',
  ]);
  for (const path of changing) {
    assert.match(
      readFileSync(new URL(path, source), 'utf8'),
      /\b(refuse(Immutable|IfTaggedImmutably)|ruleFor)\(/,
      path,
    );
  }
});

for (const { name, open } of dialects) {
  test(`${name}: an immutable tag is neither moved nor deleted, by tag, by digest or with its repository`, async (t) => {
    const database = await open(t);
    await makeOrganisation(database, 'library');
    const levels: [string, Registry, string][] = [
      ['the configuration', new Registry(database, ['v*']), ''],
      ['namespace library', new Registry(database), 'namespace'],
      [`repository ${repositoryName}`, new Registry(database), 'repository'],
    ];
    for (const [from, registry, level] of levels) {
      const owner = level === 'namespace' ? { namespace: 'library' } : { repository: repositoryName };
      await new Registry(database).put(first, first.digest, ['v1', 'latest']);
      await new Registry(database).put(second);
      if (level !== '') await addTagRule(database, owner, 'v*');
      const because = `tag v1 is immutable: rule "v*" of ${from}`;
      assert.equal(await refusal(registry.put(second, 'v1')), `${because}; push another tag`);
      assert.equal(
        await refusal(registry.put(second, second.digest, ['latest', 'v1', 'v2'])),
        `${because}; push another tag`,
      );
      assert.equal(await refusal(registry.delete('v1')), because);
      assert.equal(await refusal(registry.delete(first.digest)), because);
      assert.equal(await refusal(registry.deleteRepository()), because);
      assert.deepEqual(
        await Promise.all(['v1', 'latest', 'v2'].map((tag) => registry.digestAt(tag))),
        [first.digest, first.digest, undefined],
        from,
      );

      // The same manifest again, other tags, and other manifests.
      await registry.put(first, 'v1');
      await registry.put(first, first.digest, ['v1', 'latest']);
      await registry.put(second, 'latest');
      await registry.delete('latest');
      await registry.delete(second.digest);
      if (level !== '') await removeTagRule(database, owner, 'v*');
      await new Registry(database).put(second, 'v1');
      await new Registry(database).deleteRepository();
    }
  });

  test(`${name}: finds the immutable tag among thousands of the manifest and of the repository`, async (t) => {
    const registry = new Registry(await open(t), ['z-last']);
    await registry.put(first, first.digest, ['z-last']);
    await insertTags(registry.database, { repository: repositoryName, digest: first.digest }, 4_100);
    assert.match(await refusal(registry.delete(first.digest)), /^tag z-last is immutable/);
    assert.match(await refusal(registry.deleteRepository()), /^tag z-last is immutable/);
  });

  test(`${name}: thousands of tags and hundreds of rules do not hold the event loop`, async (t) => {
    const rules = Array.from({ length: 200 }, (_, i) => `*${i}y${'*a'.repeat(60)}`);
    const registry = new Registry(await open(t), rules);
    await registry.put(first);
    await insertTags(registry.database, { repository: repositoryName, digest: first.digest }, 1_200);
    const longest = await longestTurnOf(() => registry.delete(first.digest));
    assert.ok(longest < 50, `${longest} ms`);
  });

  test(`${name}: no sequence of pushes and deletions changes an immutable tag`, async (t) => {
    const database = await open(t);
    const registry = new Registry(database, ['v* except *-dev']);
    const content = fc.constantFrom(...contents);
    const tag = fc.constantFrom('v1', 'v2', 'v1-dev', 'latest');
    type Step = () => Promise<void>;
    const step: fc.Arbitrary<Step> = fc.oneof(
      fc.tuple(content, tag).map(
        ([what, at]) =>
          () =>
            registry.put(what, at),
      ),
      fc.tuple(content, fc.uniqueArray(tag, { minLength: 1 })).map(
        ([what, tags]) =>
          () =>
            registry.put(what, what.digest, tags),
      ),
      tag.map((at) => () => registry.delete(at)),
      content.map((what) => () => registry.delete(what.digest)),
      fc.constant(() => registry.deleteRepository()),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 15 }), async (steps) => {
        const kept = new Map<string, string>();
        for (const run of steps) {
          await run().catch((error) => assert.ok(error instanceof RegistryError, String(error)));
          for (const at of ['v1', 'v2']) {
            const digest = await registry.digestAt(at);
            if (digest !== undefined && !kept.has(at)) kept.set(at, digest);
            assert.equal(digest, kept.get(at), at);
          }
        }
        for (const at of ['v1-dev', 'latest']) await registry.delete(at).catch(() => {});
        assert.deepEqual(
          [await registry.digestAt('v1-dev'), await registry.digestAt('latest')],
          [undefined, undefined],
        );
        await new Registry(database).deleteRepository().catch(() => {});
      }),
      { numRuns: 15 },
    );
  });

  test(`${name}: of two pushes to a new immutable tag one wins, and the other is refused`, async (t) => {
    const registry = new Registry(await open(t), ['v*']);
    for (let round = 0; round < 5; round++) {
      const tag = `v${round}`;
      const ended = await Promise.allSettled([registry.put(first, tag), registry.put(second, tag)]);
      const won = ended.map(({ status }) => status === 'fulfilled');
      assert.deepEqual(won.toSorted(), [false, true]);
      assert.equal(await registry.digestAt(tag), won[0] ? first.digest : second.digest);
    }
  });
}

const [ofNamespace, ofRepository] = [{ namespace: 'library' }, { repository: repositoryName }];
const changes: [what: string, (registry: Registry) => Promise<void>, owner: RuleOwnerName][] = [
  ['a push', (registry) => registry.put(second, 'v1'), ofRepository],
  ['a deletion of the tag', (registry) => registry.delete('v1'), ofNamespace],
  ['a deletion of the manifest', (registry) => registry.delete(first.digest), ofRepository],
  ['a deletion of the repository', (registry) => registry.deleteRepository(), ofNamespace],
  ['a deletion of the repository', (registry) => registry.deleteRepository(), ofRepository],
];
const skip = !dialects.some(({ name }) => name === 'PostgreSQL');

for (const [what, change, owner] of changes) {
  test(`PostgreSQL: ${what} that pauses at any statement changes no tag after the rule of a ${Object.keys(owner)[0]} was added`, {
    skip,
  }, async (t) => {
    const url = await openMigratedPostgres(t);
    const [one, two] = [await openReplica(t, url), await openReplica(t, url)];
    const other = new Registry(two);
    await makeOrganisation(two, 'library');
    for (let point = 0, isOver = false; !isOver; point++) {
      await other.put(first, 'v1');
      const paused = pauseAt(one, point);
      const running = change(new Registry(paused)).then(
        () => 'done',
        (error: unknown) => (error instanceof RegistryError ? error.code : String(error)),
      );
      isOver = (await Promise.race([paused.reached, running])) !== undefined;
      let digestWhenAdded: string | undefined;
      const adding = addTagRule(two, owner, 'v*').then(
        async () => {
          digestWhenAdded = await other.digestAt('v1');
        },
        // The repository was deleted before it could get the rule.
        (error: unknown) => assert.ok(error instanceof Refused, String(error)),
      );
      // Adding the rule may have to wait for the change.
      await Promise.race([adding, delay(10)]);
      paused.goOn();
      const [outcome] = await Promise.all([running, adding]);
      const label = `paused at ${point}: ${outcome}`;
      assert.equal(await other.digestAt('v1'), digestWhenAdded, label);
      assert.ok(!paused.failures.includes('40P01'), `${label}: deadlock`);
      await removeTagRule(two, owner, 'v*').catch(() => {});
      await other.deleteRepository().catch(() => {});
    }
  });
}
