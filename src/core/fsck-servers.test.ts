// berth fsck of a registry on PostgreSQL and S3: the same findings, also while the registry runs.
import assert from 'node:assert/strict';
import { readFile, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import pg from 'pg';
import { clientOf, NoAnswer } from '../../test/crash/http-client.ts';
import { Ledger } from '../../test/crash/ledger.ts';
import { Writer } from '../../test/crash/writer.ts';
import { bucket, database, type Place, place } from '../../test/migrate/places.ts';
import { berth } from '../../test/support/berth.ts';
import { openReplica } from '../../test/support/databases.ts';
import { type Client, imageOf, ociConfig, type Pushed, randomConfig } from '../../test/support/inject.ts';
import { needs } from '../../test/support/needs.ts';
import { openTestPostgres } from '../../test/support/postgres.ts';
import { bucketFolder, s3Settings } from '../../test/support/s3.ts';
import { inspectPostgres } from '../db/postgres/inspect.ts';
import { asDigest } from '../oci/digest.ts';
import { blobKey } from '../storage/blob-store.ts';
import type { Finding } from './fsck/walk.ts';

interface Fixture {
  readonly at: Place;
  readonly client: Client;
  readonly image: Pushed;
  readonly layer: string;
  /** The file in which the S3 server stores a blob. */
  fileOf(digest: string): string;
  sql(statement: string, ...values: unknown[]): Promise<void>;
}

async function fixture(t: TestContext): Promise<Fixture | undefined> {
  if (!needs(t, 'postgres')) return undefined;
  const s3 = await s3Settings(t);
  if (s3 === undefined) return undefined;
  const url = await openTestPostgres(t);
  const at = await place(t, { ...database(url), ...bucket(s3) });
  const client = clientOf((await at.serve()).url);
  const layer = await client.pushContent('app', 'a layer');
  const config = await client.pushContent('app', randomConfig(), ociConfig);
  const image = await client.pushManifest('app', imageOf(config, [layer]), 'v1');
  await client.patch(await client.openUpload('app'), 'the beginning');
  const folder = await bucketFolder(s3);
  return {
    at,
    client,
    image,
    layer: layer.digest,
    fileOf: (digest) => join(folder, blobKey(asDigest(digest)!, 0)),
    async sql(statement, ...values) {
      const admin = new pg.Client({ connectionString: url });
      await admin.connect();
      const { rowCount } = await admin.query(statement, values);
      await admin.end();
      assert.ok(rowCount === null || rowCount > 0, `nothing was damaged by ${statement}`);
    },
  };
}

async function examine(at: Place): Promise<{ exitCode: number; findings: Finding[] }> {
  const { exitCode, out } = await berth('fsck', '--json', '--read-data', '--config', at.file);
  const lines = out.trim().split('\n');
  return { exitCode, findings: lines.slice(0, -1).map((line) => JSON.parse(line) as Finding) };
}

describe('on PostgreSQL and S3', () => {
  test('finds nothing in a running registry', async (t) => {
    const made = await fixture(t);
    if (made === undefined) return;
    assert.deepEqual(await examine(made.at), { exitCode: 0, findings: [] });
  });

  for (const [kind, damage] of [
    ['blob-missing', (f) => unlink(f.fileOf(f.layer))],
    [
      'blob-content',
      async (f) => {
        const file = f.fileOf(f.layer);
        await writeFile(file, Buffer.alloc((await readFile(file)).length, 'x'));
      },
    ],
    ['manifest-content', (f) => f.sql("update manifests set bytes = convert_to('{}', 'UTF8')")],
    [
      'tag-broken',
      async (f) => {
        await f.sql('alter table tags drop constraint tags_manifest_id_fkey');
        await f.sql('delete from manifests');
      },
    ],
    [
      'row-broken',
      async (f) => {
        await f.sql('alter table manifest_references drop constraint manifest_references_manifest_id_fkey');
        await f.sql("insert into manifest_references values (4711, $1, 'blob', 1)", f.layer);
      },
    ],
  ] as [string, (fixture: Fixture) => Promise<void>][]) {
    test(`finds ${kind}`, async (t) => {
      const made = await fixture(t);
      if (made === undefined) return;
      await damage(made);
      const { exitCode, findings } = await examine(made.at);
      assert.equal(exitCode, 1);
      assert.deepEqual([...new Set(findings.map((finding) => finding.kind))], [kind]);
    });
  }

  test('finds nothing while clients push, tag and delete', async (t) => {
    const made = await fixture(t);
    if (made === undefined) return;
    const { at, client } = made;
    let over = false;
    const send = client.send.bind(client);
    client.send = (...request) => (over ? Promise.reject(new NoAnswer('over')) : send(...request));
    const ledger = new Ledger();
    const writing = ['one', 'two'].map((name) => new Writer(name, ledger).run(client));
    while (ledger.acknowledged < 20) await new Promise(setImmediate);
    for (let i = 0; i < 3; i++) {
      const { exitCode, findings } = await examine(at);
      assert.deepEqual(
        findings.filter(({ severity }) => severity === 'error'),
        [],
      );
      assert.equal(exitCode, 0);
    }
    over = true;
    await Promise.all(writing);
  });
});

test('distinguishes an unused database from a damaged one, and does not change it', async (t) => {
  if (!needs(t, 'postgres')) return;
  const url = await openTestPostgres(t);
  const at = await place(t, database(url));
  for (let i = 0; i < 2; i++) {
    const { exitCode, err } = await berth('fsck', '--config', at.file);
    assert.equal(exitCode, 1);
    assert.match(err, /no registry in /);
  }
});

test('an inspected database is read-only', async (t) => {
  if (!needs(t, 'postgres')) return;
  const url = await openTestPostgres(t);
  await (await openReplica(t, url)).ping();
  const inspection = await inspectPostgres(url);
  await assert.rejects(inspection.read.deleteFrom('tags').execute(), /read-only transaction/);
  await inspection.close();
});
