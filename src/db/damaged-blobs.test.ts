import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dialects, digestNumber, makeRepository, repositoryName } from '../../test/support/databases.ts';
import { isUploadedBy, linkUploaded } from './blob-links.ts';
import { recordStored } from './blobs.ts';
import { clearDamage, countDamaged, listDamaged, markDamaged } from './damaged-blobs.ts';
import type { Db } from './prepare.ts';

const digest = digestNumber(1);
const row = { digest, generation: 0, review_at: 100 };

for (const { name, open } of dialects) {
  test(`${name}: marks a blob only if its row is as it was read, until its bytes are stored again`, async (t) => {
    const database = await open(t);
    const { read } = database;
    const change = <T>(work: (db: Db) => Promise<T>): Promise<T> => database.transaction(work);
    const store = (now: number) => change((db) => recordStored(db, { digest, size: 5, generation: 0 }, now));
    const mark = (changed = {}) => change((db) => markDamaged(db, { ...row, ...changed }, 200));
    const session = { id: 'session', owner: 'anonymous' };
    const isUploaded = () => isUploadedBy(read, { ...session, name: repositoryName }, digest);
    await store(100);
    const repository = await makeRepository(database);
    await change((db) => linkUploaded(db, repository, digest, session, 100));
    assert.deepEqual([await mark({ generation: 1 }), await mark({ review_at: 99 })], [false, false]);
    assert.equal(await isUploaded(), true);
    assert.deepEqual([await mark(), await mark()], [true, false]);
    assert.equal(await isUploaded(), false, 'a client that repeats its last request uploads again');
    assert.deepEqual(
      (await listDamaged(read, 10)).map((blob) => ({ ...blob })),
      [{ digest, size: 5, damaged_at: 200 }],
    );
    await store(100);
    assert.equal(await countDamaged(read, 10), 0);
    assert.equal(await change((db) => clearDamage(db, row)), false);
    await mark();
    assert.equal(await change((db) => clearDamage(db, row)), true);
    assert.equal(await countDamaged(read, 10), 0);
  });
}
