import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  copyFile,
  cp,
  mkdir,
  open,
  readdir,
  readFile,
  rm,
  stat,
  truncate,
  unlink,
  writeFile,
} from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { DatabaseSync, type SQLInputValue } from 'node:sqlite';
import { describe, type TestContext, test } from 'node:test';
import { examine, fsck } from '../../test/support/fsck.ts';
import {
  Client,
  digestOf,
  imageOf,
  indexOf,
  ociConfig,
  type Pushed,
  randomConfig,
  refer,
} from '../../test/support/inject.ts';
import { testRegistry } from '../../test/support/registry.ts';
import { temporaryDirectory } from '../../test/support/temporary-directory.ts';
import type { App } from '../app.ts';
import { asDigest } from '../oci/digest.ts';
import { blobKey } from '../storage/blob-store.ts';

/** A registry with two of everything: one to damage, one to stay intact. */
interface Fixture {
  readonly app: App;
  readonly data: string;
  readonly client: Client;
  /** `app:v1` and `app:latest`; its layer is `other:v1`'s too. */
  readonly image: Pushed;
  readonly config: string;
  readonly layer: string;
  /** `app:multi`, an index of two images without tags. */
  readonly index: Pushed;
  readonly child: Pushed;
  /** Refers to `image`, with annotations and without a tag. */
  readonly signature: Pushed;
  /** A session of `app` with 1,000 bytes. */
  readonly upload: string;
  /** Writes rows without foreign keys, as no code of Berth does. */
  sql(statement: string, ...parameters: SQLInputValue[]): void;
}

const layerBytes = Buffer.from('a layer that two repositories hold');

async function fixture(t: TestContext): Promise<Fixture> {
  const { app, data } = await testRegistry(t);
  const client = new Client(app.http);
  const layer = await client.pushContent('app', layerBytes);
  const config = await client.pushContent('app', randomConfig(), ociConfig);
  const image = await client.pushManifest('app', imageOf(config, [layer]), 'v1');
  await client.pushManifest('app', imageOf(config, [layer]), 'latest');
  const child = await client.pushImage('app');
  const index = await client.pushManifest(
    'app',
    indexOf([refer(child), refer(await client.pushImage('app'))]),
    'multi',
  );
  const annotations = { 'org.example.by': 'somebody' };
  const signature = await client.pushImage('app', undefined, { subject: refer(image), annotations });
  await client.pushContent('other', layerBytes);
  const otherConfig = await client.pushContent('other', randomConfig(), ociConfig);
  await client.pushManifest('other', imageOf(otherConfig, [layer]), 'v1');
  const location = await client.openUpload('app');
  await client.patch(location, Buffer.alloc(1000, 'x'));
  await client.openUpload('app');
  return {
    app,
    data,
    client,
    image,
    config: config.digest,
    layer: layer.digest,
    index,
    child,
    signature,
    upload: location.split('/').at(-1)!,
    sql(statement, ...parameters) {
      const database = new DatabaseSync(join(data, 'berth.db'), { enableForeignKeyConstraints: false });
      const { changes } = database.prepare(statement).run(...parameters);
      assert.ok(Number(changes) > 0, `nothing was damaged by ${statement}`);
      database.close();
    },
  };
}

function blobFile({ data }: { data: string }, digest: string, generation = 0): string {
  return join(data, blobKey(asDigest(digest)!, generation));
}

const shared = ['app:latest', 'app:v1', 'other:v1'];
const tagged = ['app:latest', 'app:v1'];

interface Defect {
  readonly name: string;
  readonly severity?: 'note';
  readonly kind: string;
  damage(fixture: Fixture): Promise<void> | void;
  subject(fixture: Fixture): string;
  affects?(fixture: Fixture): readonly string[];
}

const defects: readonly Defect[] = [
  {
    name: 'a blob without its file',
    kind: 'blob-missing',
    damage: (f) => unlink(blobFile(f, f.layer)),
    subject: (f) => `blob ${f.layer}`,
    affects: () => shared,
  },
  {
    name: 'a blob with its bytes under another generation',
    kind: 'blob-missing',
    async damage(f) {
      f.sql('update blobs set generation = 1 where digest = ?', f.layer);
      await unlink(blobFile(f, f.layer));
    },
    subject: (f) => `blob ${f.layer}`,
    affects: () => shared,
  },
  {
    name: 'a truncated blob',
    kind: 'blob-size',
    damage: (f) => truncate(blobFile(f, f.layer), 5),
    subject: (f) => `blob ${f.layer}`,
    affects: () => shared,
  },
  {
    name: 'a flipped bit',
    kind: 'blob-content',
    async damage(f) {
      const bytes = await readFile(blobFile(f, f.config));
      bytes[3] = bytes[3]! ^ 1;
      await writeFile(blobFile(f, f.config), bytes);
    },
    subject: (f) => `blob ${f.config}`,
    affects: () => tagged,
  },
  {
    name: 'a blob that cannot be read',
    kind: 'blob-unreadable',
    async damage(f) {
      await unlink(blobFile(f, f.config));
      await mkdir(blobFile(f, f.config));
    },
    subject: (f) => `blob ${f.config}`,
    affects: () => tagged,
  },
  {
    name: 'a repository that holds a blob without a row',
    kind: 'link-broken',
    damage: (f) =>
      f.sql(
        `insert into repository_blobs (repository_id, digest, created_at) select id, 'sha256:x', 0 from repositories where name = 'app'`,
      ),
    subject: () => 'blob sha256:x of app',
    affects: () => ['app'],
  },
  {
    name: 'a repository that holds a blob whose bytes were deleted',
    kind: 'link-broken',
    async damage(f) {
      f.sql(`update blobs set state = 'deleted', generation = 1 where digest = ?`, f.config);
      await unlink(blobFile(f, f.config));
    },
    subject: (f) => `blob ${f.config} of app`,
    affects: () => tagged,
  },
  {
    name: 'manifest bytes that do not match the digest',
    kind: 'manifest-content',
    damage: (f) =>
      f.sql('update manifests set bytes = ? where digest = ?', Buffer.from('{}'), f.image.digest),
    subject: (f) => `manifest ${f.image.digest} of app`,
    affects: () => tagged,
  },
  {
    name: 'a wrong manifest size',
    kind: 'manifest-size',
    damage: (f) => f.sql('update manifests set size = size + 1 where digest = ?', f.image.digest),
    subject: (f) => `manifest ${f.image.digest} of app`,
    affects: () => tagged,
  },
  {
    name: 'bytes that are not a manifest',
    kind: 'manifest-invalid',
    damage: (f) => f.sql(`update manifests set media_type = 'text/plain' where digest = ?`, f.image.digest),
    subject: (f) => `manifest ${f.image.digest} of app`,
    affects: () => tagged,
  },
  ...[
    [
      'a reference that is not recorded',
      'delete from manifest_references where digest = ?1 and manifest_id = ?2',
    ],
    [
      'a recorded reference of another kind',
      `update manifest_references set kind = 'child' where digest = ?1 and manifest_id = ?2`,
    ],
    [
      'a recorded reference of another repository',
      'update manifest_references set repository_id = 0 where digest = ?1 and manifest_id = ?2',
    ],
  ].map(
    ([name, statement]): Defect => ({
      name: name!,
      kind: 'manifest-record',
      damage: (f) => f.sql(statement!, f.config, idOf(f, f.image)),
      subject: (f) => `manifest ${f.image.digest} of app`,
      affects: () => tagged,
    }),
  ),
  ...(
    [
      ['subject', 'subject_digest = null'],
      ['artifact type', `artifact_type = 'text/plain'`],
      ['annotations', `annotations = '{}'`],
      ['rank', 'rank = 7'],
      ['size of annotations', 'annotations_size = 7'],
    ] as const
  ).map(
    ([what, set]): Defect => ({
      name: `a wrong ${what}`,
      kind: 'manifest-record',
      damage: (f) => f.sql(`update manifests set ${set} where digest = ?`, f.signature.digest),
      subject: (f) => `manifest ${f.signature.digest} of app`,
      affects: (f) => [`app@${f.signature.digest}`],
    }),
  ),
  {
    name: 'a blob that a manifest needs and its repository does not hold',
    kind: 'manifest-blob',
    damage: (f) =>
      f.sql(
        `delete from repository_blobs where digest = ? and repository_id = (select id from repositories where name = 'app')`,
        f.layer,
      ),
    subject: (f) => `manifest ${f.image.digest} of app`,
    affects: () => tagged,
  },
  {
    name: 'a child of an index that the repository does not hold',
    severity: 'note',
    kind: 'manifest-child',
    async damage(f) {
      const answer = await f.client.delete(`/v2/app/manifests/${f.child.digest}`);
      assert.equal(answer.status, 202);
    },
    subject: (f) => `manifest ${f.index.digest} of app`,
    affects: () => ['app:multi'],
  },
  {
    name: 'a tag that points to a missing manifest',
    kind: 'tag-broken',
    damage: (f) => f.sql(`update tags set manifest_id = 999 where name = 'latest'`),
    subject: () => 'tag app:latest',
    affects: () => ['app:latest'],
  },
  {
    name: "a tag on another repository's manifest",
    kind: 'tag-broken',
    damage: (f) =>
      f.sql(
        `update tags set manifest_id = (select m.id from manifests m join repositories r on r.id = m.repository_id where r.name = 'other') where name = 'latest'`,
      ),
    subject: () => 'tag app:latest',
    affects: () => ['app:latest'],
  },
  {
    name: 'references of a manifest that does not exist',
    kind: 'row-broken',
    damage: (f) => f.sql(`insert into manifest_references values (999, 'sha256:x', 'blob', 1)`),
    subject: (f) => `row ${maxRow(f, 'manifest_references')} of manifest_references`,
  },
  {
    name: 'fewer staged bytes than an upload recorded, as after a power cut',
    severity: 'note',
    kind: 'upload-short',
    damage: (f) => truncate(join(f.data, 'uploads', f.upload), 999),
    subject: (f) => `upload ${f.upload} of app`,
    affects: () => ['app'],
  },
  {
    name: 'an upload whose bytes are gone',
    severity: 'note',
    kind: 'upload-lost',
    async damage(f) {
      await unlink(join(f.data, 'uploads', f.upload));
      // The lease of a process that died has ended.
      f.sql('update uploads set writer_until = 1');
    },
    subject: (f) => `upload ${f.upload} of app`,
    affects: () => ['app'],
  },
  {
    name: 'a blob file without a row',
    severity: 'note',
    kind: 'blob-orphan',
    async damage(f) {
      const path = blobFile(f, digestOf('orphan'));
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, 'orphan');
    },
    subject: () => `file ${blobKey(asDigest(digestOf('orphan'))!, 0)}`,
  },
  {
    name: 'a file of an old generation',
    severity: 'note',
    kind: 'blob-orphan',
    async damage(f) {
      await copyFile(blobFile(f, f.layer), blobFile(f, f.layer, 1));
      f.sql('update blobs set generation = 1 where digest = ?', f.layer);
    },
    subject: (f) => `file ${blobKey(asDigest(f.layer)!, 0)}`,
  },
  {
    name: 'a staged file without a session',
    severity: 'note',
    kind: 'upload-orphan',
    damage: (f) => writeFile(join(f.data, 'uploads', 'left-behind'), 'bytes'),
    subject: () => 'file uploads/left-behind',
  },
  {
    name: 'a file that is not a blob',
    severity: 'note',
    kind: 'file-unknown',
    damage: (f) => writeFile(join(f.data, 'docker/registry/v2/blobs/README'), 'hello'),
    subject: () => 'file docker/registry/v2/blobs/README',
  },
];

function query<T>({ data }: Fixture, statement: string, ...parameters: SQLInputValue[]): T {
  const database = new DatabaseSync(join(data, 'berth.db'), { readOnly: true });
  try {
    return Object.values(database.prepare(statement).get(...parameters)!)[0] as T;
  } finally {
    database.close();
  }
}

function idOf(fixture: Fixture, { digest }: Pushed): number {
  return query(fixture, 'select id from manifests where digest = ?', digest);
}

function maxRow(fixture: Fixture, table: string): number {
  return query(fixture, `select max(rowid) from ${table}`);
}

describe('fsck finds each defect, and nothing else', () => {
  for (const { name, severity = 'error', kind, damage, subject, affects = () => [] } of defects) {
    test(name, async (t) => {
      const f = await fixture(t);
      await damage(f);
      const { exitCode, findings } = await examine(f.data);
      const seen = findings.map(({ problem, affects, ...finding }) => {
        assert.notEqual(problem, '');
        return { ...finding, affects: [...affects].sort() };
      });
      assert.deepEqual(seen, [{ severity, kind, subject: subject(f), affects: affects(f) }]);
      assert.equal(exitCode, severity === 'error' ? 1 : 0);
    });
  }

  test('pages of a damaged database file', async (t) => {
    const f = await fixture(t);
    // An index entry without a row: how a torn page looks to SQLite.
    const database = new DatabaseSync(join(f.data, 'berth.db'), { defensive: false });
    database.exec(`pragma writable_schema = on;
      delete from sqlite_schema where name = 'tags_by_manifest'; pragma writable_schema = reset`);
    database.close();
    const { exitCode, findings } = await examine(f.data);
    assert.equal(exitCode, 1);
    assert.ok(findings.length > 0);
    for (const finding of findings) assert.equal(finding.kind, 'database-damaged');
  });
});

for (const [what, page] of [
  ['the first page of the database file', () => 1],
  ['a page of a table', (sql: DatabaseSync) => pageOf(sql, 'manifests')],
  ['a page of an index', (sql: DatabaseSync) => pageOf(sql, 'repository_blobs_by_digest')],
] as const) {
  test(`reports damage to ${what}, whatever SQLite's error`, async (t) => {
    const f = await fixture(t);
    await f.app.close();
    const path = join(f.data, 'berth.db');
    const database = new DatabaseSync(path);
    const at = (page(database) - 1) * Number(database.prepare('pragma page_size').get()?.page_size);
    database.close();
    const file = await open(path, 'r+');
    // The first page begins with the file's header.
    await file.write(Buffer.alloc(200, 0xff), 0, 200, at === 0 ? 100 : at);
    await file.close();
    const { exitCode, findings } = await examine(f.data);
    assert.equal(exitCode, 1);
    assert.deepEqual([...new Set(findings.map(({ kind }) => kind))], ['database-damaged']);
  });
}

function pageOf(database: DatabaseSync, name: string): number {
  return Number(database.prepare('select rootpage from sqlite_schema where name = ?').get(name)?.rootpage);
}

test('reports a changed byte in the log of a killed server', async (t) => {
  const f = await fixture(t);
  // The state after a kill: the log was not merged when the last connection closed.
  const killed = await temporaryDirectory(t);
  await cp(f.data, killed, { recursive: true });
  assert.deepEqual((await examine(killed)).findings, []);
  const file = await open(join(killed, 'berth.db-wal'), 'r+');
  const { size } = await file.stat();
  await file.write(Buffer.from('!'), 0, 1, Math.floor(size / 2));
  await file.close();
  const { exitCode, findings } = await examine(killed);
  assert.equal(exitCode, 1);
  assert.deepEqual(
    findings.map(({ kind, problem }) => [
      kind,
      /log is damaged at frame \d+: .* with \d+ commits/.test(problem),
    ]),
    [['database-damaged', true]],
  );
});

describe('fsck', () => {
  test('checks all of a healthy registry, finds nothing and changes nothing', async (t) => {
    const { data } = await fixture(t);
    const before = await snapshot(data);
    const { exitCode, findings, walked, complaint } = await examine(data);
    assert.deepEqual({ exitCode, findings, complaint }, { exitCode: 0, findings: [], complaint: '' });
    const { bytes, ...counts } = walked;
    assert.deepEqual(counts, {
      repositories: 2,
      blobs: 9,
      links: 10,
      manifests: 6,
      tags: 4,
      uploads: 2,
      files: 10,
    });
    assert.ok(bytes > 9 * 30, `${bytes} bytes were read`);
    assert.deepEqual(await snapshot(data), before);
  });

  test('finds a changed byte only with --read-data, and a wrong size without it', async (t) => {
    const f = await fixture(t);
    await writeFile(blobFile(f, f.layer), Buffer.alloc(layerBytes.length));
    const quick = await fsck('--data', f.data);
    assert.equal(quick.exitCode, 0);
    assert.match(quick.out, /^checked 2 repositories, 9 blobs, .*: 0 errors, 0 notes\n$/);
    const thorough = await fsck('--data', f.data, '--read-data');
    assert.equal(thorough.exitCode, 1);
    assert.match(
      thorough.out,
      /^error: blob sha256:.* the digest of .* is .*; affects .*\nchecked .*: 1 error, 0 notes\n$/,
    );
  });

  test('names a few of many affected images', async (t) => {
    const f = await fixture(t);
    for (let i = 0; i < 10; i++) await f.client.putManifest('app', `v2.${i}`, f.image.bytes);
    await unlink(blobFile(f, f.config));
    const { findings } = await examine(f.data);
    assert.equal(findings.length, 1);
    assert.equal(findings[0]!.affects.length, 6);
    assert.equal(findings[0]!.affects.at(-1), 'more');
  });

  test('reports a missing layer as a note if the settings allow it', async (t) => {
    const { app, data } = await testRegistry(t, { manifests: { missingReferences: 'all' } });
    const absent = { mediaType: ociConfig, digest: digestOf('absent'), size: 6 };
    await new Client(app.http).pushManifest('app', imageOf(absent, []), 'v1');
    const file = join(data, 'berth.yaml');
    await writeFile(file, 'manifests:\n  missingReferences: all\n');
    const allowed = await examine(data, '--config', file);
    assert.deepEqual([allowed.exitCode, allowed.findings.map((finding) => finding.severity)], [0, ['note']]);
    assert.equal((await examine(data)).exitCode, 1);
  });

  test('reports each blob if the folder of all blobs is missing, and does not create it', async (t) => {
    const f = await fixture(t);
    await rm(join(f.data, 'docker'), { recursive: true });
    const { findings, walked } = await examine(f.data);
    assert.equal(findings.length, walked.blobs);
    assert.deepEqual(new Set(findings.map((finding) => finding.kind)), new Set(['blob-missing']));
    await assert.rejects(stat(join(f.data, 'docker')), { code: 'ENOENT' });
  });

  test('refuses a directory without a database, and creates none', async (t) => {
    const data = await temporaryDirectory(t);
    const { exitCode, err } = await fsck('--data', data);
    assert.deepEqual(
      { exitCode, err },
      {
        exitCode: 1,
        err: `berth: no registry in ${data}: check the configuration, or create one with \`berth serve\`\n`,
      },
    );
    assert.deepEqual(await readdir(data), []);
  });

  test('refuses the database of a newer or older version with one line', async (t) => {
    const f = await fixture(t);
    f.sql(`insert into kysely_migration values ('9999-future', '2099-01-01')`);
    const newer = await fsck('--data', f.data);
    assert.equal(newer.exitCode, 1);
    assert.match(newer.err, /^berth: .*written by a newer Berth \(it has 9999-future\).*\n$/);
    f.sql(`delete from kysely_migration where name > '0001-registry'`);
    const older = await fsck('--data', f.data);
    assert.equal(older.exitCode, 1);
    assert.match(older.err, /^berth: .*written by an older Berth \(it lacks 0002-replicas.*\n$/);
  });

  test('exits with 2 for an unknown flag', async () => {
    assert.equal((await fsck('--mend')).exitCode, 2);
  });

  test('finds nothing during concurrent pushes, deletions and repeated pushes', async (t) => {
    const f = await fixture(t);
    let running = true;
    let examinations = 0;
    const churn = async (name: string): Promise<void> => {
      for (let i = 0; i < 20 || (examinations <= 3 && i < 2_000); i++) {
        const { digest, bytes } = await f.client.pushImage(name, 'tag');
        await f.client.delete(`/v2/${name}/manifests/${digest}`);
        const { config } = JSON.parse(bytes.toString()) as { config: { digest: string } };
        await f.client.delete(`/v2/${name}/blobs/${config.digest}`);
      }
    };
    const churning = Promise.all(['churn/a', 'churn/b', 'app'].map(churn)).finally(() => {
      running = false;
    });
    while (running) {
      const { findings } = await examine(f.data);
      assert.deepEqual(
        findings.filter((finding) => finding.severity === 'error'),
        [],
      );
      examinations += 1;
    }
    await churning;
    assert.ok(examinations > 3, `only ${examinations} examinations while the registry worked`);
  });
});

/** Digests of all files, without SQLite's index of its log: the file is shared memory that each reader changes. */
async function snapshot(data: string): Promise<Record<string, string>> {
  const files = await readdir(data, { recursive: true, withFileTypes: true });
  const paths = files.filter((file) => file.isFile()).map((file) => join(file.parentPath, file.name));
  const digests = paths
    .filter((path) => !path.endsWith('-shm'))
    .map(
      async (path) =>
        [
          path,
          createHash('sha256')
            .update(await readFile(path))
            .digest('hex'),
        ] as const,
    );
  return Object.fromEntries(await Promise.all(digests));
}
