import assert from 'node:assert/strict';
import { test } from 'node:test';
import { insertRow, makeOrganisation } from '../../test/support/access.ts';
import { dialects, makeRepository, makeUser } from '../../test/support/databases.ts';
import { makeManifest } from '../../test/support/manifests.ts';
import { Refused } from '../access/refused.ts';
import { Manifests } from '../core/manifests.ts';
import { noQuotas } from '../core/quotas.ts';
import { restoreRepository } from '../core/restore-trash.ts';
import { listTagHistory } from '../core/tag-history.ts';
import { system } from '../db/changes.ts';
import { insertAlias, listAliases } from '../db/repository-aliases.ts';
import { findNamed } from '../db/repository-names.ts';
import { parseName } from '../oci/name.ts';
import { parseReference } from '../oci/reference.ts';
import type { ActingDatabase } from './change.ts';
import { allAliases, removeAlias, rename } from './rename-repository.ts';
import { removeRepository } from './repositories.ts';
import { addTagRule, tagRulesOf } from './tag-rules.ts';

const a = parseName('acme/a');
const b = parseName('acme/b');
const c = parseName('tools/c');
const day = 86_400_000;

function move(
  database: ActingDatabase,
  from: string,
  to: string,
  options: Partial<Parameters<typeof rename>[3]> = {},
) {
  return rename(database, from, to, {
    aliasFor: day,
    configured: [],
    quotas: noQuotas,
    force: false,
    ...options,
  });
}

/** Pushes an image with the tag v1. */
async function pushTo(database: ActingDatabase, name = a): Promise<void> {
  const manifests = new Manifests({
    database,
    clock: database.clock,
    missingReferences: 'all',
    immutableTags: [],
  });
  const rights = { mayCreate: true, mayUpdate: true };
  const push = { ...makeManifest('one'), tags: [], conditions: {}, rights, by: system };
  await manifests.put(name, parseReference('v1'), push);
}

async function aliases(database: ActingDatabase): Promise<string[]> {
  const rows = await allAliases(database);
  return rows.map(({ name, repository }) => `${name} → ${repository}`);
}

for (const { name, open } of dialects) {
  test(`${name}: a rename keeps tags, history and rules, records both names, and leaves an alias`, async (t) => {
    const database = await open(t);
    await pushTo(database);
    await addTagRule(database, { repository: a }, 'semver');
    const user = await makeUser(database, 'alice');
    for (const pattern of [a, 'acme/**']) {
      await insertRow(database, 'grants', { pattern, account_id: user, role: 'write', created_at: 1 });
    }
    const { aliasUntil, grants } = await move(database, a, c);
    assert.ok(Math.abs((aliasUntil ?? 0) - Date.now() - day) < 60_000);
    assert.deepEqual(
      grants.map(({ name, pattern, role }) => [name, pattern, role]),
      [['alice', a, 'write']],
    );
    const history = await listTagHistory(database, c, { tag: undefined, before: undefined, limit: 10 });
    assert.equal(history.moves.length, 1);
    const rules = await tagRulesOf(database, [], c);
    assert.deepEqual(
      rules.map(({ rule, name }) => [rule, name]),
      [['semver', c]],
    );
    const last = database.read.selectFrom('changes').selectAll().orderBy('id', 'desc').limit(1);
    const [change] = await last.execute();
    assert.deepEqual([change?.kind, change?.repository], ['repository.rename', c]);
    assert.equal(JSON.parse(change?.detail ?? '').from, a);
    assert.deepEqual(await aliases(database), [`${a} → ${c}`]);
  });

  test(`${name}: aliases of a repository that is renamed again go on to work; renaming it back removes its alias`, async (t) => {
    const database = await open(t);
    await makeRepository(database, a);
    await move(database, a, b);
    await move(database, b, c);
    assert.deepEqual(await aliases(database), [`${a} → ${c}`, `${b} → ${c}`]);
    await move(database, c, a, { aliasFor: 0 });
    assert.deepEqual(await aliases(database), [`${b} → ${a}`]);
    assert.equal(await removeAlias(database, b), a);
    assert.equal(await findNamed(database.read, b, Date.now()), undefined);
    await assert.rejects(removeAlias(database, b), new Refused('there is no alias acme/b'));
  });

  test(`${name}: an alias of a repository in the trash is not listed, and can be deleted`, async (t) => {
    const database = await open(t);
    await makeRepository(database, a);
    await move(database, a, b);
    await removeRepository(database, b, { immutableTags: [], trash: true });
    assert.deepEqual(await aliases(database), []);
    assert.equal(await removeAlias(database, a), b);
    const last = database.read.selectFrom('changes').selectAll().orderBy('id', 'desc').limit(1);
    assert.equal((await last.executeTakeFirstOrThrow()).repository, b);
  });

  test(`${name}: refuses a taken, a missing and the same name, and changes nothing`, async (t) => {
    const database = await open(t);
    for (const taken of [a, b]) await makeRepository(database, taken);
    const refused = (from: string, to: string, message: string) =>
      assert.rejects(move(database, from, to), new Refused(message));
    await refused(
      a,
      b,
      `there is already a repository ${b}; choose another name, or rename or delete it first`,
    );
    await refused(c, a, `there is no repository ${c}`);
    await refused(a, a, `the repository already has the name ${a}`);
    await assert.rejects(move(database, a, 'Bad'), /is not a valid repository name/);
    assert.deepEqual(await listAliases(database.read, '', 10, 0), []);
    assert.deepEqual(await database.read.selectFrom('changes').selectAll().execute(), []);
  });

  test(`${name}: refuses to rename a repository with an immutable tag, unless forced`, async (t) => {
    const database = await open(t);
    await makeOrganisation(database, 'acme');
    await pushTo(database);
    await addTagRule(database, { namespace: 'acme' }, 'v*');
    const message = 'tag v1 is immutable: rule "v*" of namespace acme';
    await assert.rejects(
      move(database, a, c),
      new Refused(`acme/a cannot be renamed: ${message}; --force renames it anyway`),
    );
    await move(database, a, c, { force: true });
    assert.deepEqual(await aliases(database), [`${a} → ${c}`]);
  });

  test(`${name}: an expired alias is not listed`, async (t) => {
    const database = await open(t);
    const repository = await makeRepository(database, a);
    await database.transaction((db) => insertAlias(db, { name: b, repository, expiresAt: 5 }, 1));
    assert.deepEqual(await aliases(database), []);
  });

  test(`${name}: a repository restored from the trash replaces the alias with its name`, async (t) => {
    const database = await open(t);
    await makeRepository(database, a);
    await removeRepository(database, a, { immutableTags: [], trash: true });
    await makeRepository(database, b);
    await move(database, b, a);
    await move(database, a, c);
    await restoreRepository({ database, by: system }, a, a);
    await move(database, a, b, { aliasFor: 2 * day });
    assert.deepEqual(await aliases(database), [`${a} → ${b}`]);
  });
}
