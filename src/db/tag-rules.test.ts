import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sql } from 'kysely';
import { dialects, makeOrganisation, makeRepository } from '../../test/support/databases.ts';
import { parseName } from '../oci/name.ts';
import { deleteAccount, findAccount } from './accounts.ts';
import { isPostgres } from './dialect.ts';
import { deleteRepositoryRows } from './repositories.ts';
import { deleteTagRule, insertTagRule, listOwnTagRules, listTagRules, tagRulesFor } from './tag-rules.ts';

const [app, other, foreign] = ['acme/app', 'acme/other', 'bob/app'].map(parseName) as [
  ReturnType<typeof parseName>,
  ReturnType<typeof parseName>,
  ReturnType<typeof parseName>,
];

for (const { name, open } of dialects) {
  const place = async (t: Parameters<typeof open>[0]) => {
    const database = await open(t);
    const account = await makeOrganisation(database, 'acme');
    const repository = await makeRepository(database, app);
    await makeRepository(database, other);
    await database.transaction(async (db) => {
      await insertTagRule(db, { repository }, 'v*', 1);
      await insertTagRule(db, { account }, 'semver', 2);
    });
    return { database, account, repository };
  };

  test(`${name}: the rules of a repository and of its namespace apply to it`, async (t) => {
    const { database } = await place(t);
    const ofApp = [
      { rule: 'v*', level: 'repository', name: 'acme/app' },
      { rule: 'semver', level: 'namespace', name: 'acme' },
    ];
    const plain = (rows: object[]) => rows.map((row) => ({ ...row }));
    assert.deepEqual(plain(await tagRulesFor(database.read, app)), ofApp);
    assert.deepEqual(plain(await tagRulesFor(database.read, other)), [ofApp[1]]);
    assert.deepEqual(plain(await tagRulesFor(database.read, parseName('acme/missing'))), [ofApp[1]]);
    assert.deepEqual(await tagRulesFor(database.read, foreign), []);
    assert.deepEqual(await tagRulesFor(database.read, parseName('acme')), []);
  });

  test(`${name}: rules are listed by id, and by owner`, async (t) => {
    const { database, account, repository } = await place(t);
    const [first, ...rest] = await listTagRules(database.read, 0, 1);
    assert.deepEqual([first?.rule, first?.level, first?.name, rest.length], ['v*', 'repository', app, 0]);
    const after = await listTagRules(database.read, first!.id, 10);
    assert.deepEqual(
      after.map(({ rule, level, name }) => [rule, level, name]),
      [['semver', 'namespace', 'acme']],
    );
    assert.deepEqual(await listOwnTagRules(database.read, { account }, 10), ['semver']);
    assert.deepEqual(await listOwnTagRules(database.read, { repository }, 10), ['v*']);
  });

  test(`${name}: an owner has a rule once, and its rules end with it`, async (t) => {
    const { database, account, repository } = await place(t);
    const rules = async () => (await listTagRules(database.read, 0, 10)).map(({ rule }) => rule);
    await assert.rejects(database.transaction((db) => insertTagRule(db, { repository }, 'v*', 3)));
    const remove = (rule: string) => database.transaction((db) => deleteTagRule(db, { repository }, rule));
    assert.deepEqual([await remove('semver'), await remove('v*'), await remove('v*')], [false, true, false]);
    await database.transaction((db) => insertTagRule(db, { repository }, 'v*', 4));
    await database.transaction((db) => deleteRepositoryRows(db, repository));
    assert.deepEqual(await rules(), ['semver']);
    const found = await findAccount(database.read, 'acme' as Parameters<typeof findAccount>[1]);
    assert.equal(found?.id, account);
    await database.transaction((db) => deleteAccount(db, found!));
    assert.deepEqual(await rules(), []);
  });

  test(`${name}: looking up the rules of a repository reads no other rules`, async (t) => {
    const { database } = await place(t);
    const query = sql`
      select rule from repositories join tag_rules on repository_id = repositories.id where repositories.name = 'acme/app'
      union all
      select rule from accounts join tag_rules on account_id = accounts.id where accounts.name = 'acme'`;
    await database.transaction(async (db) => {
      if (isPostgres(db)) await sql`set local enable_seqscan = off`.execute(db);
      const { rows } = await (isPostgres(db)
        ? sql`explain ${query}`
        : sql`explain query plan ${query}`
      ).execute(db);
      const plan = JSON.stringify(rows);
      assert.match(plan, /tag_rules_by_repository/);
      assert.match(plan, /tag_rules_by_account/);
    });
  });
}
