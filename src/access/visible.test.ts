import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { dialects, digestNumber } from '../../test/support/databases.ts';
import { listRepositoryPage, type RepositoryPage } from '../core/repositories.ts';
import type { Database } from '../db/database.ts';
import { allVisible } from '../db/repository-ranges.ts';
import type { Visibility } from '../db/schema.ts';
import { parseName, type RepositoryName } from '../oci/name.ts';
import { type Entitlements, rightsOn } from './entitlements.ts';
import { asPattern, type Pattern } from './pattern.ts';
import type { AnonymousAccess } from './policy.ts';
import { rightsOfRole } from './rights.ts';
import { parseScope, type Scope } from './scope.ts';
import { visibleTo } from './visible.ts';

function entitlements(given: Partial<Entitlements>): Entitlements {
  return { anonymous: false, administrator: false, grants: [], scopes: undefined, ...given };
}

function read(...patterns: string[]) {
  return patterns.map((text) => ({ pattern: asPattern(text) as Pattern, rights: rightsOfRole('read') }));
}

function scopes(...texts: string[]): Scope[] {
  return texts.map((text) => parseScope(text) as Scope);
}

/** The ranges as texts; `public` marks a range of only public repositories. */
function rangesOf(given: Partial<Entitlements>, policy: AnonymousAccess): string[] | 'all' {
  const visible = visibleTo(entitlements(given), policy);
  if (visible === allVisible) return 'all';
  return visible.ranges.map(
    ({ prefix, exact, publicOnly }) => `${publicOnly ? 'public ' : ''}${prefix}${exact ? '' : '*'}`,
  );
}

for (const [what, given, policy, expected] of [
  ['administrators see every repository', { administrator: true }, 'none', 'all'],
  ['everyone sees everything under the policy pull', { anonymous: true }, 'pull', 'all'],
  ['everyone sees everything in an open registry', { anonymous: true }, 'push', 'all'],
  ['anonymous callers see nothing under none', { anonymous: true }, 'none', []],
  ['anonymous callers see public repositories under public', { anonymous: true }, 'public', ['public *']],
  ['users see public repositories', {}, 'none', ['public *']],
  [
    'users see their grants, by the literal prefix of the pattern',
    { grants: read('acme/app', 'acme/web-*', 'bob/**', '*/x') },
    'public',
    ['acme/app', 'acme/web-*', 'bob/*', '*', 'public *'],
  ],
  [
    'a grant without pull shows nothing',
    { grants: [{ pattern: 'acme/**' as Pattern, rights: new Set(['create', 'update'] as const) }] },
    'none',
    ['public *'],
  ],
  [
    'scopes bound what an administrator sees',
    { administrator: true, scopes: scopes('repository:acme/**:pull', 'repository:bob/x:push') },
    'none',
    ['acme/*'],
  ],
  [
    'scopes bound granted and public repositories',
    {
      grants: read('acme/**', 'bob/app', 'carol/**'),
      scopes: scopes('repository:acme/app:pull', 'repository:bob/**:*', 'repository:acme/x-*:delete'),
    },
    'none',
    ['acme/app', 'bob/app', 'public acme/app', 'public bob/*'],
  ],
] as const) {
  test(`${what}`, () => {
    assert.deepEqual(rangesOf(given, policy), expected);
  });
}

/** All repositories; each has a manifest unless it is empty. */
async function fill(
  database: Database,
  repositories: readonly { name: RepositoryName; visibility: Visibility; empty: boolean }[],
): Promise<void> {
  await database.transaction(async (db) => {
    await db.deleteFrom('manifests').execute();
    await db.deleteFrom('repositories').execute();
    for (const { empty, ...row } of repositories) {
      const { id } = await db
        .insertInto('repositories')
        .values({ ...row, created_at: 1 })
        .returning('id')
        .executeTakeFirstOrThrow();
      if (empty) continue;
      const manifest = {
        repository_id: id,
        digest: digestNumber(1),
        media_type: 'a/b',
        size: 2,
        created_at: 1,
      };
      await db
        .insertInto('manifests')
        .values({
          ...manifest,
          bytes: Buffer.from('{}'),
          subject_digest: null,
          artifact_type: null,
          annotations: null,
        })
        .execute();
    }
  });
}

const component = fc.constantFrom('a', 'ab', 'a-b', 'a.b', 'a0', 'b', 'z');
const aName = fc.array(component, { minLength: 1, maxLength: 3 }).map((parts) => parseName(parts.join('/')));
const aPattern = fc
  .array(fc.oneof(component, fc.constantFrom('*', '**', 'a*', '*b', 'a*b')), { minLength: 1, maxLength: 3 })
  .map((parts) => parts.join('/') as Pattern);
const someEntitlements = fc.record({
  anonymous: fc.boolean(),
  administrator: fc.oneof({ weight: 4, arbitrary: fc.constant(false) }, fc.boolean()),
  grants: fc.array(
    fc.record({
      pattern: aPattern,
      rights: fc.constantFrom(rightsOfRole('read'), rightsOfRole('admin'), new Set(['create'] as const)),
    }),
    { maxLength: 5 },
  ),
  scopes: fc.option(
    fc.array(
      fc.record({
        pattern: aPattern,
        actions: fc.subarray(['pull', 'push', '*'] as const, { minLength: 1 }),
      }),
      { minLength: 1, maxLength: 3 },
    ),
    { nil: undefined },
  ),
});
const someRepositories = fc.uniqueArray(
  fc.record({
    name: aName,
    visibility: fc.constantFrom<Visibility>('public', 'private'),
    empty: fc.oneof({ weight: 5, arbitrary: fc.constant(false) }, fc.constant(true)),
  }),
  { selector: ({ name }) => name, maxLength: 40 },
);

for (const { name, open } of dialects) {
  test(`${name}: every page of the catalog is full, and the pages hold exactly what the caller may pull`, async (t) => {
    const database = await open(t);
    await fc.assert(
      fc.asyncProperty(
        someRepositories,
        fc.array(someEntitlements, { minLength: 5, maxLength: 5 }),
        fc.constantFrom<AnonymousAccess>('none', 'public', 'pull', 'push'),
        fc.integer({ min: 1, max: 4 }),
        async (repositories, readers, policy, n) => {
          await fill(database, repositories);
          for (const reader of readers) {
            const expected = repositories
              .filter(({ empty }) => !empty)
              .filter(({ name, visibility }) => rightsOn(reader, name, visibility, policy).has('pull'))
              .map(({ name }) => name)
              .sort();
            const walked: string[] = [];
            for (let last: string | undefined = ''; last !== undefined; ) {
              const page: RepositoryPage = await listRepositoryPage(
                database,
                { last, n },
                visibleTo(reader, policy),
              );
              if (page.next !== undefined) assert.equal(page.names.length, n);
              walked.push(...page.names);
              last = page.next;
            }
            assert.deepEqual(walked, expected);
          }
        },
      ),
      { numRuns: name === 'SQLite' ? 100 : 20 },
    );
  });

  test(`${name}: the cursor of a list reveals no hidden repositories`, async (t) => {
    const database = await open(t);
    const all = Array.from({ length: 250 }, (_, i) => parseName(`secret/${String(i).padStart(3, '0')}`));
    const mine = ['a/1', 'secret/100', 'z/1'].map(parseName);
    await fill(
      database,
      [...new Set([...all, ...mine])].map((name) => ({ name, visibility: 'private', empty: false })),
    );
    // The last pattern makes the database look at all of them.
    const reader = entitlements({ grants: read(...mine, '*/nothing') });
    for (const [last, n, items, more] of [
      ['', 10, mine, false],
      ['', 1, mine.slice(0, 1), true],
      ['a/1', 1, mine.slice(1, 2), true],
      ['secret/050', 1, mine.slice(1, 2), true],
      ['secret/100', 1, mine.slice(2), false],
      ['secret/249', 1, mine.slice(2), false],
      ['z/1', 1, [], false],
      ['', 0, [], false],
    ] as const) {
      const page = await listRepositoryPage(database, { last, n }, visibleTo(reader, 'none'));
      assert.deepEqual(page, { names: items, next: more ? items.at(-1) : undefined }, `${n} after ${last}`);
    }
  });

  test(`${name}: granted and public repositories come in one order, for every page size`, async (t) => {
    const database = await open(t);
    const repositories = Array.from({ length: 700 }, (_, i) => ({
      name: parseName(`${['acme', 'bob', 'carol'][i % 3]}/${String(i).padStart(3, '0')}`),
      visibility: (i % 2 === 0 ? 'public' : 'private') as Visibility,
      empty: false,
    }));
    await fill(database, repositories);
    const reader = entitlements({ grants: read('acme/**', 'bob/001', 'bob/007', 'carol/*5') });
    const expected = repositories
      .filter(({ name, visibility }) => rightsOn(reader, name, visibility, 'none').has('pull'))
      .map(({ name }) => name)
      .sort();
    for (const n of [40, 150, 699]) {
      const walked: string[] = [];
      for (let last: string | undefined = ''; last !== undefined; ) {
        const page: RepositoryPage = await listRepositoryPage(
          database,
          { last, n },
          visibleTo(reader, 'none'),
        );
        walked.push(...page.names);
        last = page.next;
      }
      assert.deepEqual(walked, expected);
    }
  });

  test(`${name}: a page ends early after thousands of hidden names, and the walk still finds every visible name`, async (t) => {
    const database = await open(t);
    await fillNumbered(database, 12_000);
    const mine = ['r/02000', 'r/11000'].map(parseName);
    const reader = entitlements({ grants: read(...mine.map((name) => name.replace('r/', '*/'))) });
    const visible = visibleTo(reader, 'none');
    const pages: RepositoryPage[] = [];
    for (let last: string | undefined = ''; last !== undefined; last = pages.at(-1)?.next) {
      pages.push(await listRepositoryPage(database, { last, n: 100 }, visible));
      // Three on a quiet machine; a page also ends after a time limit, once it has looked at 100 names.
      assert.ok(pages.length <= 120);
    }
    assert.deepEqual(
      pages.flatMap((page) => page.names),
      mine,
    );
    assert.ok(pages.length >= 3, `${pages.length} pages`);
    // The next page starts at a hidden name: clients can read neither it nor its length.
    const [first, second] = pages.map((page) => page.next as string);
    assert.match(first as string, /^~[\w-]+$/);
    assert.equal(first?.length, second?.length);
    assert.notEqual(first, (await listRepositoryPage(database, { last: '', n: 100 }, visible)).next);
    // A cursor that this registry did not seal is taken as a name, which sorts after all others.
    const forged = (first as string).replace(/^~./, (start) => (start === '~A' ? '~B' : '~A'));
    const none = await listRepositoryPage(database, { last: forged, n: 100 }, visible);
    assert.deepEqual(none, { names: [], next: undefined });
  });
}

/** Inserts this many private repositories, `r/00000` and on. */
async function fillNumbered(database: Database, count: number): Promise<void> {
  const names = Array.from({ length: count }, (_, i) => `r/${String(i).padStart(5, '0')}`);
  await database.transaction(async (db) => {
    for (let start = 0; start < count; start += 1_000) {
      const some = names.slice(start, start + 1_000).map((name) => ({ name, created_at: 1 }));
      const rows = await db.insertInto('repositories').values(some).returning('id').execute();
      const manifest = {
        digest: digestNumber(1),
        media_type: 'a/b',
        size: 2,
        created_at: 1,
        bytes: Buffer.from('{}'),
      };
      await db
        .insertInto('manifests')
        .values(rows.map(({ id }) => ({ repository_id: id, ...manifest })))
        .execute();
    }
  });
}
