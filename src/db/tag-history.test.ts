import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sql } from 'kysely';
import { dialects } from '../../test/support/databases.ts';
import type { ActingDatabase } from '../administration/change.ts';
import { parseTag } from '../oci/reference.ts';
import { analyze, isPostgres } from './dialect.ts';
import { afterAllChanges, isTagMove, listTagMoves } from './tag-history.ts';

const count = 20_000;

/** Inserts moves of 20 tags of each of 100 repositories, and then as many pushes that move no tag. */
async function insertChanges(database: ActingDatabase): Promise<void> {
  await database.transaction(async (db) => {
    await sql`
      insert into changes (at, kind, repository_id, tag, old_digest, new_digest, actor, actor_name, credential)
      with recursive numbers(i) as (select 1 union all select i + 1 from numbers where i < ${sql.lit(count)})
      select i, 'manifest.push', i % 100, 'v' || (i / 100 % 20), case when i <= ${sql.lit(count / 2)} then 'a' else 'b' end, 'b',
        'user:1', 'alice', 'password'
      from numbers
    `.execute(db);
    await analyze(db);
  });
}

for (const { name, open } of dialects) {
  test(`${name}: lists moves of a tag and of a repository in pages, newest first, without pushes that moved nothing`, async (t) => {
    const database = await open(t);
    await insertChanges(database);
    for (const tag of [parseTag('v7'), undefined]) {
      const found: { id: number; tag: string; at: number }[] = [];
      for (let before = afterAllChanges; ; ) {
        const page = await listTagMoves(database.read, 3, tag, { before, limit: 7 });
        found.push(...page);
        if (page.length < 7) break;
        before = page.at(-1)!.id;
      }
      assert.equal(found.length, tag === undefined ? 100 : 5);
      assert.deepEqual(
        found,
        found.toSorted((a, b) => b.id - a.id),
      );
      for (const { at } of found) assert.deepEqual([at % 100, at <= count / 2], [3, true]);
      if (tag !== undefined) assert.deepEqual(new Set(found.map((row) => row.tag)), new Set([tag]));
    }
  });

  test(`${name}: finds moves by an index`, async (t) => {
    const database = await open(t);
    await insertChanges(database);
    const explain = sql.raw(isPostgres(database.read) ? 'explain' : 'explain query plan');
    for (const [index, ofTag] of [
      ['changes_of_repository', sql``],
      ['changes_of_tag', sql`and tag = 'v7'`],
    ] as const) {
      const { rows } = await sql`
        ${explain} select * from changes where repository_id = 3 ${ofTag} and ${isTagMove} and id < 9000 order by id desc limit 50
      `.execute(database.read);
      assert.match(JSON.stringify(rows), new RegExp(`\\b${index}\\b`));
    }
  });
}
