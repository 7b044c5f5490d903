import assert from 'node:assert/strict';
import { mkdir, rm, truncate, writeFile } from 'node:fs/promises';
import { type TestContext, test } from 'node:test';
import { cleanUp } from '../../../test/support/cleanup.ts';
import { dialects, type TestDialect } from '../../../test/support/databases.ts';
import { DistributionTree } from '../../../test/support/distribution-tree.ts';
import { fileStates } from '../../../test/support/file-states.ts';
import {
  type Descriptor,
  describe,
  digestOf,
  dockerManifest,
  imageOf,
  indexOf,
  ociConfig,
} from '../../../test/support/inject.ts';
import { temporaryDirectory } from '../../../test/support/temporary-directory.ts';
import { listAuditEntries } from '../../db/audit-events.ts';
import { system } from '../../db/changes.ts';
import type { Database } from '../../db/database.ts';
import { findManifestByTag } from '../../db/manifests.ts';
import { noteProperty } from '../../db/properties.ts';
import { refuseWhenReadOnly } from '../../db/read-only.ts';
import { moveTag } from '../../db/tags.ts';
import { parseName } from '../../oci/name.ts';
import { parseTag } from '../../oci/reference.ts';
import { asTagRule } from '../../oci/tag-rule.ts';
import { openFilesystemStore } from '../../storage/filesystem.ts';
import { filesystemTree } from '../../storage/filesystem-tree.ts';
import { ForeignRegistry } from '../../storage/foreign-registry.ts';
import { setReadOnly } from '../set-read-only.ts';
import { adopt, markAdopted, refuseOtherStore } from './adopt.ts';
import type { Finding } from './finding.ts';
import type { Adopted, AdoptParts } from './parts.ts';

interface Fixture {
  readonly tree: DistributionTree;
  readonly database: Database;
  readonly parts: AdoptParts;
  /** Adopts the tree; returns the counts, and the findings as `severity kind subject: problem`. */
  adopt(parts?: Partial<AdoptParts>): Promise<{ adopted: Adopted; found: string[] }>;
}

const places = { database: 'the database', store: 'the store' };

async function fixture(t: TestContext, dialect: TestDialect): Promise<Fixture> {
  const root = await temporaryDirectory(t);
  const database = await dialect.open(t);
  const store = await openFilesystemStore(root, undefined, { inspectOnly: true });
  cleanUp(t, () => store.close());
  const parts: AdoptParts = {
    database,
    store,
    tree: filesystemTree(root),
    by: system,
    missingReferences: 'children',
    immutableTags: [],
    maxManifest: 4 << 20,
    signal: new AbortController().signal,
    report() {},
    progress: { begin() {}, expect() {}, add() {} },
  };
  return {
    tree: new DistributionTree(root),
    database,
    parts,
    async adopt(more) {
      const findings: Finding[] = [];
      const adopted = await adopt({ ...parts, report: (finding) => findings.push(finding), ...more });
      return {
        adopted,
        found: findings
          .map(({ severity, kind, subject, problem }) => `${severity} ${kind} ${subject}: ${problem}`)
          .sort(),
      };
    },
  };
}

/** Everything that an adoption writes, without ids and times. */
async function stateOf({ read }: Database): Promise<object> {
  const rows = async (query: { execute(): Promise<object[]> }): Promise<string[]> =>
    (await query.execute()).map((row) => JSON.stringify(row)).sort();
  const blobs = read.selectFrom('blobs').select(['digest', 'size', 'generation', 'state']);
  const inRepositories = read.selectFrom('repositories').select('repositories.name');
  const manifests = inRepositories.innerJoin('manifests', 'manifests.repository_id', 'repositories.id');
  return {
    stored: await rows(blobs.where('parked_at', 'is', null)),
    parked: await rows(blobs.where('parked_at', 'is not', null)),
    links: await rows(
      inRepositories
        .innerJoin('repository_blobs', 'repository_blobs.repository_id', 'repositories.id')
        .select('digest'),
    ),
    manifests: await rows(
      manifests.select(['digest', 'media_type', 'manifests.size', 'subject_digest', 'artifact_type']),
    ),
    references: await rows(
      manifests
        .innerJoin('manifest_references', 'manifest_references.manifest_id', 'manifests.id')
        .select(['manifests.digest as of', 'manifest_references.digest', 'kind']),
    ),
    tags: await rows(
      manifests.innerJoin('tags', 'tags.manifest_id', 'manifests.id').select(['tags.name as tag', 'digest']),
    ),
  };
}

async function tagged(database: Database, name: string, tag: string): Promise<string | undefined> {
  return (await findManifestByTag(database.read, parseName(name), parseTag(tag)))?.digest;
}

/** Two repositories with a multi-platform index, a nested index, a referrer, a shared layer, and a layer without a manifest. */
async function fill(tree: DistributionTree): Promise<{ index: Descriptor; image: Descriptor }> {
  const image = await tree.image('team/app', 'amd64', 'v1');
  const other = await tree.image('team/app', 'arm64');
  const index = await tree.manifest('team/app', indexOf([image, other]), 'latest');
  await tree.manifest('team/app', indexOf([index]), 'nested');
  const config = await tree.layer('team/app', '{}', ociConfig);
  await tree.manifest('team/app', imageOf(config, [], { subject: image, artifactType: 'text/sbom' }));
  await tree.image('other', 'amd64', 'v1');
  await tree.layer('other', 'without a manifest');
  await tree.blob('without a repository');
  return { index, image };
}

for (const dialect of dialects) {
  test(`${dialect.name}: adopts repositories, layers, manifests and tags, and changes no file`, async (t) => {
    const { tree, adopt, database } = await fixture(t, dialect);
    const { index, image } = await fill(tree);
    const before = await fileStates(tree.root);
    const { adopted, found } = await adopt();
    assert.deepEqual(found, []);
    assert.deepEqual(adopted, {
      repositories: 2,
      blobs: 12,
      bytes: adopted.bytes,
      manifests: 6,
      tags: 4,
      uploads: 0,
      unreadable: 0,
      added: { links: 7, manifests: 6, tags: 4 },
    });
    assert.deepEqual(await fileStates(tree.root), before);
    assert.equal(await tagged(database, 'team/app', 'latest'), index.digest);
    assert.equal(await tagged(database, 'other', 'v1'), image.digest);
    const { stored, parked, references } = (await stateOf(database)) as Record<string, string[]>;
    // Five manifests, one of them in both repositories, a blob without a repository, and a layer that no manifest needs.
    assert.deepEqual([stored?.length, parked?.length, references?.length], [5, 7, 10]);
    const changes = await listAuditEntries(database.read, {}, undefined, 100);
    assert.deepEqual([...new Set(changes.map(({ action }) => action))], ['repository.adopt']);
  });

  test(`${dialect.name}: a second run changes nothing`, async (t) => {
    const { tree, adopt, database } = await fixture(t, dialect);
    await fill(tree);
    const first = await adopt();
    const state = await stateOf(database);
    const entries = () => listAuditEntries(database.read, {}, undefined, 100);
    const changes = (await entries()).length;
    const second = await adopt();
    assert.deepEqual(second.adopted, { ...first.adopted, added: { links: 0, manifests: 0, tags: 0 } });
    assert.deepEqual(await stateOf(database), state);
    assert.equal((await entries()).length, changes);
  });

  test(`${dialect.name}: a second run adds new images and moves tags, but not those moved in Berth`, async (t) => {
    const { tree, adopt, database } = await fixture(t, dialect);
    const old = await tree.image('app', 'old');
    const now = Date.now();
    for (const tag of ['a', 'b']) await tree.tag('app', tag, old.digest, now - 9_000);
    await adopt();
    const pushed = await tree.image('app', 'new', 'c');
    for (const tag of ['a', 'b']) await tree.tag('app', tag, pushed.digest, now - 6_000);
    const row = await findManifestByTag(database.read, parseName('app'), parseTag('b'));
    await database.transaction((db) => moveTag(db, row!.repository_id, parseTag('b'), row!.id, now - 3_000));
    const { adopted, found } = await adopt();
    assert.deepEqual(adopted.added, { links: 2, manifests: 1, tags: 2 });
    assert.equal(await tagged(database, 'app', 'a'), pushed.digest);
    assert.equal(await tagged(database, 'app', 'b'), old.digest);
    assert.equal(found.length, 1);
    assert.match(found[0]!, /^note tag-kept tag app:b: .*points to sha256:/);
  });

  test(`${dialect.name}: creates an immutable tag, and does not move it later`, async (t) => {
    const { tree, adopt, database } = await fixture(t, dialect);
    const old = await tree.image('app', 'old');
    await tree.tag('app', 'v1', old.digest, Date.now() - 9_000);
    const immutableTags = [asTagRule('v*')!];
    await adopt({ immutableTags });
    const pushed = await tree.image('app', 'new', 'c');
    await tree.tag('app', 'v1', pushed.digest, Date.now() - 6_000);
    const { found } = await adopt({ immutableTags });
    assert.equal(await tagged(database, 'app', 'v1'), old.digest);
    assert.match(found.join(), /^note tag-kept tag app:v1: it is immutable in Berth/);
  });

  test(`${dialect.name}: ends in the same state wherever it is stopped`, async (t) => {
    const whole = await fixture(t, dialect);
    await fill(whole.tree);
    await whole.adopt();
    const state = await stateOf(whole.database);
    const { tree, parts, adopt, database } = await fixture(t, dialect);
    await fill(tree);
    let stopped = 0;
    for (let done = false; !done; ) {
      assert.ok(stopped < 20);
      // Each run commits one transaction more than was committed before, and stops in the next one.
      let left = 1;
      const transaction: Database['transaction'] = (work, options) =>
        database.transaction(async (db) => {
          const result = await work(db);
          if (left-- === 0) throw new Error('stopped');
          return result;
        }, options);
      try {
        await adopt({ database: { ...parts.database, transaction } });
        done = true;
      } catch (error) {
        assert.equal((error as Error).message, 'stopped');
        stopped += 1;
      }
    }
    assert.ok(stopped >= 4, `stopped ${stopped} times`);
    assert.deepEqual(await stateOf(database), state);
  });
}

const [sqlite] = dialects as [TestDialect];

/** Damages a tree that has the image `app:good`; returns the expected findings without their problems, and what stays without a tag. */
const damages: Record<string, (tree: DistributionTree) => Promise<[finding: string, problem: RegExp][]>> = {
  'a link of a layer without a blob': async (tree) => {
    const { digest } = await tree.layer('app', 'lost');
    await rm(tree.blobFile(digest));
    return [[`error blob-missing blob ${digest} of app`, /bytes are missing/]];
  },
  'an image with a missing layer': async (tree) => {
    const { digest } = await tree.image('app', 'bad', 'bad');
    await rm(tree.blobFile(digestOf('bad')));
    return [
      [`error manifest-incomplete manifest app@${digest}`, /not adopted: sha256:\w+ is missing$/],
      ['error tag-dangling tag app:bad', /was not adopted, see above/],
      [`error blob-missing blob ${digestOf('bad')} of app`, /bytes are missing/],
    ];
  },
  'an image with a short layer': async (tree) => {
    const { digest } = await tree.image('app', 'bad', 'bad');
    await truncate(tree.blobFile(digestOf('bad')), 2);
    return [
      [`error manifest-incomplete manifest app@${digest}`, /has 2 bytes instead of 3$/],
      ['error tag-dangling tag app:bad', /was not adopted/],
    ];
  },
  'an image with an empty layer': async (tree) => {
    const { digest } = await tree.image('app', 'bad', 'bad');
    await truncate(tree.blobFile(digestOf('bad')), 0);
    return [
      [`error blob-empty blob ${digestOf('bad')}`, /its file is empty/],
      [`error manifest-incomplete manifest app@${digest}`, /is missing$/],
      ['error tag-dangling tag app:bad', /was not adopted/],
      [`error blob-missing blob ${digestOf('bad')} of app`, /bytes are missing/],
    ];
  },
  'a manifest without its blob': async (tree) => {
    const { digest } = await tree.image('app', 'bad', 'bad');
    await rm(tree.blobFile(digest));
    return [
      [`error manifest-missing manifest app@${digest}`, /blobs\/sha256\/.*\/data is missing$/],
      ['error tag-dangling tag app:bad', /was not adopted/],
    ];
  },
  'a manifest with other bytes': async (tree) => {
    const { digest } = await tree.image('app', 'bad', 'bad');
    await writeFile(tree.blobFile(digest), '{}');
    return [
      [`error manifest-content manifest app@${digest}`, /has the digest sha256:/],
      ['error tag-dangling tag app:bad', /was not adopted/],
    ];
  },
  'a manifest that is not JSON': async (tree) => {
    const { digest } = await tree.manifest('app', 'not JSON');
    return [[`error manifest-invalid manifest app@${digest}`, /not a manifest: /]];
  },
  'a manifest of schema 1': async (tree) => {
    const { digest } = await tree.manifest('app', { schemaVersion: 1, name: 'app' }, 'bad');
    return [
      [`error manifest-schema1 manifest app@${digest}`, /schema 1/],
      ['error tag-dangling tag app:bad', /was not adopted/],
    ];
  },
  'a manifest that is too large': async (tree) => {
    const { digest } = await tree.manifest('app', { padding: 'x'.repeat(4 << 20) });
    return [[`error manifest-large manifest app@${digest}`, /more than 4194304 .*manifests\.maxSize/]];
  },
  'a manifest that cannot be read': async (tree) => {
    const { digest } = await tree.image('app', 'bad');
    await rm(tree.blobFile(digest));
    await tree.blob('x');
    await mkdir(tree.blobFile(digest));
    return [[`error manifest-unreadable manifest app@${digest}`, /cannot read its blob/]];
  },
  'an index with a missing image': async (tree) => {
    const lost = describe('lost', dockerManifest);
    const { digest } = await tree.manifest('app', indexOf([lost]), 'sparse');
    return [[`note manifest-incomplete manifest app@${digest}`, /^adopted, but sha256:\w+ is missing$/]];
  },
  'an empty link of a tag': async (tree) => {
    await tree.tag('app', 'bad', '');
    return [['error link-damaged tag app:bad', /the link is empty; push the tag again/]];
  },
  'a link of a tag with other text': async (tree) => {
    await tree.tag('app', 'bad', 'sha256:short');
    return [['error link-damaged tag app:bad', /the link names "sha256:short"/]];
  },
  'a tag without a link': async (tree) => {
    await tree.tag('app', 'bad', digestOf('bad'));
    await rm(tree.tagLink('app', 'bad'));
    return [['error tag-dangling tag app:bad', /its link is missing/]];
  },
  'a tag without a manifest': async (tree) => {
    await tree.tag('app', 'bad', digestOf('bad'));
    return [['error tag-dangling tag app:bad', /sha256:\w+ is not in the repository/]];
  },
  'a name of a tag that is not allowed': async (tree) => {
    await tree.tag('app', '-bad', digestOf('bad'));
    return [['error tag-invalid tag app:-bad', /does not allow/]];
  },
  'a name of a repository that is not allowed': async (tree) => {
    await tree.image('Bad/App', 'bad', 'v1');
    return [['error repository-invalid repository Bad/App', /does not allow/]];
  },
  'a link of a layer that names another digest': async (tree) => {
    const { digest } = await tree.layer('app', 'bad');
    await writeFile(tree.layerLink('app', digest), digestOf('another'));
    return [];
  },
  'an empty link of a layer': async (tree) => {
    const { digest } = await tree.layer('app', 'bad');
    await truncate(tree.layerLink('app', digest), 0);
    const hex = digest.slice(7);
    const file = `docker/registry/v2/repositories/app/_layers/sha256/${hex}/link`;
    return [[`note link-damaged file ${file}`, /the digest in its path was used/]];
  },
  'a short link of a manifest': async (tree) => {
    const { digest } = await tree.image('app', 'bad');
    await truncate(tree.revisionLink('app', digest), 9);
    const file = `docker/registry/v2/repositories/app/_manifests/revisions/sha256/${digest.slice(7)}/link`;
    return [[`error link-damaged file ${file}`, /the link names "sha256:/]];
  },
  'files that belong to nothing': async (tree) => {
    await tree.blob('x');
    await writeFile(tree.file('app', '_manifests/notes'), 'x');
    return [['note file-unknown file docker/registry/v2/repositories/app/_manifests/notes', /not part of/]];
  },
};

for (const [what, damage] of Object.entries(damages)) {
  test(`reports ${what} and adopts the rest`, async (t) => {
    const { tree, adopt, database } = await fixture(t, sqlite);
    const good = await tree.image('app', 'good', 'good');
    await tree.image('zoo', 'good', 'good');
    const expected = await damage(tree);
    const changes = async () => (await listAuditEntries(database.read, {}, undefined, 100)).length;
    let recorded: number | undefined;
    for (const run of ['first', 'second']) {
      const { found } = await adopt();
      // An adopted manifest is not read again, so a note about it comes once.
      const again = expected.filter(([finding]) => run === 'first' || !/^note manifest/.test(finding));
      assert.equal(found.length, again.length, `${run} run: ${found.join('\n')}`);
      for (const [finding, problem] of again) {
        const line = found.find((line) => line.startsWith(`${finding}: `));
        assert.ok(line, `${finding} is not among ${found.join('\n')}`);
        assert.match(line.slice(finding.length + 2), problem);
      }
      assert.equal(await tagged(database, 'app', 'good'), good.digest);
      assert.equal(await tagged(database, 'zoo', 'good'), good.digest);
      assert.equal(await tagged(database, 'app', 'bad'), undefined);
      recorded ??= await changes();
      assert.equal(await changes(), recorded, `the ${run} run recorded changes`);
    }
  });
}

test('adopts indexes of indexes, each after those that it lists', async (t) => {
  const { tree, adopt, database } = await fixture(t, sqlite);
  let last = await tree.image('app', 'image');
  for (let i = 0; i < 8; i++) last = await tree.manifest('app', indexOf([last]), `depth-${i}`);
  const { adopted, found } = await adopt({ missingReferences: 'none' });
  assert.deepEqual(found, []);
  assert.equal(adopted.added.manifests, 9);
  assert.equal(await tagged(database, 'app', 'depth-7'), last.digest);
});

test('adopts manifests without a media type as those of OCI', async (t) => {
  const { tree, adopt, database } = await fixture(t, sqlite);
  const config = await tree.layer('app', '{}', ociConfig);
  const { mediaType, ...image } = imageOf(config, []);
  const { digest, size } = await tree.manifest('app', image);
  const { mediaType: indexType, ...index } = indexOf([{ mediaType: String(mediaType), digest, size }]);
  await tree.manifest('app', index);
  assert.deepEqual((await adopt()).found, []);
  const rows = await database.read.selectFrom('manifests').select('media_type').orderBy('id').execute();
  assert.deepEqual(
    rows.map((row) => row.media_type),
    [mediaType, indexType],
  );
});

test('adopts the layers of a BuildKit cache, which are listed in an index', async (t) => {
  const { tree, adopt, database } = await fixture(t, sqlite);
  const layer = await tree.layer('cache', 'layer');
  await rm(tree.layerLink('cache', layer.digest));
  await tree.manifest('cache', indexOf([layer]), 'latest');
  assert.deepEqual((await adopt()).found, []);
  const { links, references } = (await stateOf(database)) as Record<string, string[]>;
  assert.deepEqual([links?.length, references?.length], [1, 1]);
});

test('adopts an image with a missing layer if the settings allow it', async (t) => {
  const { tree, adopt, database } = await fixture(t, sqlite);
  const { digest } = await tree.image('app', 'bad', 'bad');
  await rm(tree.blobFile(digestOf('bad')));
  const { found } = await adopt({ missingReferences: 'all' });
  assert.match(
    found[1]!,
    /^note manifest-incomplete manifest app@sha256:\w+: adopted, but sha256:\w+ is missing$/,
  );
  assert.equal(await tagged(database, 'app', 'bad'), digest);
});

test('does not adopt an index with a missing image if the settings forbid it', async (t) => {
  const { tree, adopt, database } = await fixture(t, sqlite);
  await tree.manifest('app', indexOf([describe('lost', dockerManifest)]), 'bad');
  const { found } = await adopt({ missingReferences: 'none' });
  assert.match(found[0]!, /^error manifest-incomplete .*not adopted: sha256:\w+ is missing$/);
  assert.equal(await tagged(database, 'app', 'bad'), undefined);
});

test('links a layer with a wrong size only for the manifest whose size is right', async (t) => {
  const { tree, adopt, database } = await fixture(t, sqlite);
  const layer = await tree.layer('app', 'layer');
  const config = await tree.layer('app', '{}', ociConfig);
  await tree.manifest('app', imageOf(config, [layer]), 'right');
  await tree.layer('other', '{}', ociConfig);
  await tree.layer('other', 'layer');
  const wrong = await tree.manifest('other', imageOf(config, [{ ...layer, size: 9 }]), 'wrong');
  const { found } = await adopt();
  assert.deepEqual(
    found.map((line) => line.split(':', 1)[0]),
    ['error manifest-incomplete manifest other@sha256', 'error tag-dangling tag other'],
  );
  assert.ok(found[0]!.includes(wrong.digest));
  const { links } = (await stateOf(database)) as { links: string[] };
  const holds = (name: string) => links.includes(JSON.stringify({ name, digest: layer.digest }));
  assert.deepEqual([holds('app'), holds('other')], [true, false]);
});

test('adopts a blob that was pushed after the blobs were listed', async (t) => {
  const { tree, parts, adopt, database } = await fixture(t, sqlite);
  await tree.image('app', 'one', 'one');
  let pushed: Descriptor | undefined;
  const begin = async () => {
    pushed ??= await tree.image('app', 'two', 'two');
  };
  const count: AdoptParts['tree']['count'] = async function* (folder) {
    await begin();
    yield* parts.tree.count(folder);
  };
  const { found } = await adopt({ tree: { ...parts.tree, count } });
  assert.deepEqual(found, []);
  assert.equal(await tagged(database, 'app', 'two'), pushed?.digest);
});

test('reports a layer whose bytes garbage collection has deleted since', async (t) => {
  const { tree, adopt, database } = await fixture(t, sqlite);
  const { digest } = await tree.layer('app', 'collected');
  await database.transaction((db) =>
    db
      .insertInto('blobs')
      .values({ digest, size: 9, generation: 1, state: 'deleted', created_at: 1, review_at: 1 })
      .execute(),
  );
  assert.deepEqual((await adopt()).found, [
    `error blob-missing blob ${digest} of app: it is linked, but its bytes are missing`,
  ]);
});

test('stops when many files cannot be read', async (t) => {
  const { tree, parts, adopt } = await fixture(t, sqlite);
  for (let i = 0; i < 20; i++) await tree.image('app', `${i}`);
  const read = async () => {
    throw new Error('permission denied');
  };
  await assert.rejects(adopt({ tree: { ...parts.tree, read } }), {
    name: 'CannotAdopt',
    message: /^20 files could not be read: check the rights/,
  });
});

test('writes nothing while the registry is read-only', async (t) => {
  const { tree, adopt, database } = await fixture(t, sqlite);
  await tree.image('app', 'one', 'one');
  await setReadOnly(database, system, 'maintenance');
  await assert.rejects(adopt({ database: refuseWhenReadOnly(database) }), {
    name: 'ReadOnlyRegistry',
    message: 'the registry is read-only: maintenance',
  });
});

test('the store is refused before the adoption has ended, and opened after it', async (t) => {
  const { tree, parts, adopt, database } = await fixture(t, sqlite);
  await tree.image('app', 'one', 'one');
  await refuseOtherStore(database.read, parts.store, places);
  await adopt();
  await assert.rejects(openFilesystemStore(tree.root), ForeignRegistry);
  await refuseOtherStore(database.read, parts.store, places);
  await markAdopted(parts);
  await refuseOtherStore(database.read, parts.store, places);
  await (await openFilesystemStore(tree.root)).close();
});

test("refuses the store of another registry, and an older copy of the registry's own", async (t) => {
  const { tree, parts, adopt, database } = await fixture(t, sqlite);
  await tree.image('app', 'one', 'one');
  await adopt();
  await parts.store.writeMarker('{"registry":"another","epoch":1}');
  const refused = (message: RegExp) =>
    assert.rejects(refuseOtherStore(database.read, parts.store, places), { name: 'StoreMismatch', message });
  await database.transaction((db) => noteProperty(db, 'registry', 'own'));
  await refused(/belongs to registry another/);
  await database.transaction((db) => noteProperty(db, 'epoch', '9'));
  await parts.store.writeMarker('{"registry":"own","epoch":1}');
  await refused(/the store is an older copy/);
});
