// A manifest push makes a fixed number of statements.
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { addTagRule } from '../../src/administration/tag-rules.ts';
import { Blobs } from '../../src/core/blobs.ts';
import { Uploads } from '../../src/core/uploads.ts';
import { system } from '../../src/db/changes.ts';
import type { Database } from '../../src/db/database.ts';
import type { SessionKey } from '../../src/db/uploads.ts';
import { parseDigest } from '../../src/oci/digest.ts';
import { type Files, files as nodeFiles } from '../../src/storage/files.ts';
import { openFilesystemStore } from '../../src/storage/filesystem.ts';
import { makeUser } from '../support/access.ts';
import { collectQueries, countTransactions } from '../support/count-queries.ts';
import { dialects, repositoryName } from '../support/databases.ts';
import { Client, digestOf, imageOf, ociConfig } from '../support/inject.ts';
import { fetchToken, makeLogin } from '../support/people.ts';
import { testRegistry } from '../support/registry.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

/** PostgreSQL locks the blobs and the tag. */
const most = { SQLite: 8, PostgreSQL: 9 };
/** It has its references; on SQLite the failed insertion is followed by a lookup. */
const ofKnown = { SQLite: 8, PostgreSQL: 8 };

/** The requests of one upload at a time, over files. */
async function uploadsOf(database: Database, t: TestContext, onlyProcess: boolean) {
  const opened: unknown[] = [];
  const files: Files = {
    ...nodeFiles,
    open: ((...given: Parameters<Files['open']>) => {
      opened.push(given[0]);
      return nodeFiles.open(...given);
    }) as Files['open'],
  };
  const store = await openFilesystemStore(await temporaryDirectory(t), files);
  const parts = { database, store, clock: Date.now };
  const blobs = new Blobs(parts);
  const uploads = new Uploads({ ...parts, blobs, onlyProcess });
  const owner = 'user:1';
  let session: SessionKey;
  const bodyOf = (text: string) => ({ open: () => Readable.from(text === '' ? [] : [Buffer.from(text)]) });
  return {
    blobs,
    /** Paths of the files opened so far. */
    opened,
    async start() {
      const { id } = await uploads.start(repositoryName, 'sha256', owner);
      session = { name: repositoryName, id, owner };
    },
    append: (text: string) => uploads.append(session, bodyOf(text)),
    finish: (whole: string, rest: string) =>
      uploads.finish(session, parseDigest(digestOf(whole)), bodyOf(rest), { by: system }),
  };
}

for (const { name, open } of dialects) {
  const dialect = name as keyof typeof most;
  test(`${name}: a push of a manifest with 100 layers makes ${most[dialect]} statements`, async (t) => {
    const parts = async () => ({ database: await open(t) });
    const { app, database } = await testRegistry(t, { anonymous: 'none' }, parts);
    const id = await makeUser(database, 'alice');
    const { headers } = await makeLogin(database, { id, name: 'alice' });
    const anyone = new Client(app.http);
    const bearer = await fetchToken(anyone, headers, 'repository:alice/app:pull,push');
    const client = anyone.as(bearer);
    const config = await client.pushContent('alice/app', '{}', ociConfig);
    const layers = [];
    for (let i = 0; i < 100; i++) layers.push(await client.pushContent('alice/app', `layer ${i}`));
    const image = { ...imageOf(config, layers), annotations: {} };
    await client.pushManifest('alice/app', image, 'warm');

    const statementsOf = async (annotation: string, tag: string): Promise<string[]> => {
      const pushed = { ...image, annotations: { annotation } };
      const sent = await collectQueries(() => client.pushManifest('alice/app', pushed, tag));
      return sent.filter((text) => !/^begin|commit$/i.test(text));
    };
    type Push = [what: string, expected: number, push: (attempt: number) => Promise<string[]>];
    const pushes: Push[] = [
      ['a new image', most[dialect], (attempt) => statementsOf(`new ${attempt}`, `new-${attempt}`)],
      ['a moved tag', most[dialect], (attempt) => statementsOf(`moved ${attempt}`, 'new-0')],
      [
        'a new tag of a known manifest',
        ofKnown[dialect],
        (attempt) => statementsOf('new 0', `to-${attempt}`),
      ],
    ];
    const ruled: Push[] = [
      [
        'a new image, with a rule',
        most[dialect],
        (attempt) => statementsOf(`ruled ${attempt}`, `r-${attempt}`),
      ],
      ['a moved tag, with a rule', most[dialect] + 1, (attempt) => statementsOf(`again ${attempt}`, 'new-0')],
    ];
    const check = async ([what, expected, push]: Push): Promise<void> => {
      // Background jobs may add statements to an attempt.
      let fewest = await push(0);
      for (let attempt = 1; attempt < 5 && fewest.length > expected; attempt++) {
        const statements = await push(attempt);
        if (statements.length < fewest.length) fewest = statements;
      }
      assert.equal(fewest.length, expected, `${what}:\n${fewest.join('\n')}`);
    };
    for (const push of pushes) await check(push);
    await addTagRule(database, { namespace: 'alice' }, 'v*');
    for (const push of ruled) await check(push);
  });

  test(`${name}: a push that may lack its references does not look which blobs are held`, async (t) => {
    const parts = async () => ({ database: await open(t) });
    const countOf = async (missingReferences: string) => {
      const { app } = await testRegistry(t, { anonymous: 'push', manifests: { missingReferences } }, parts);
      const client = new Client(app.http);
      const layer = await client.pushContent('app', 'layer');
      const image = imageOf(await client.pushContent('app', '{}', ociConfig), [layer]);
      const sent = await collectQueries(() => client.pushManifest('app', image, 'v1'));
      return sent.filter((text) => text.includes('from "repository_blobs" as "held"')).length;
    };
    assert.deepEqual([await countOf('none'), await countOf('all')], [1, 0]);
  });

  test(`${name}: a pull with a token or from an open registry makes one query, and looks for no alias`, async (t) => {
    const parts = async () => ({ database: await open(t) });
    for (const anonymous of ['push', 'none']) {
      const { app, database } = await testRegistry(t, { anonymous }, parts);
      const login = { id: await makeUser(database, 'alice'), name: 'alice' };
      const { headers } = await makeLogin(database, login);
      const scope = 'repository:alice/app:pull,push';
      const anyone = new Client(app.http);
      const image = await anyone.as(headers).pushImage('alice/app', 'v1');
      const client = anonymous === 'push' ? anyone : anyone.as(await fetchToken(anyone, headers, scope));
      const { layers } = JSON.parse(image.bytes.toString());
      for (const path of ['manifests/v1', `manifests/${image.digest}`, `blobs/${layers[0].digest}`]) {
        const pull = async () => assert.equal((await client.get(`/v2/alice/app/${path}`)).status, 200);
        // Signing keys and the manifest are cached by the first pull; background jobs may add statements.
        await pull();
        const sent = [await collectQueries(pull), await collectQueries(pull)];
        const fewest = sent.toSorted((one, other) => one.length - other.length)[0] ?? [];
        assert.equal(fewest.length, 1, `${anonymous}, ${path}:\n${fewest.join('\n')}`);
      }
    }
  });

  for (const [what, onlyProcess, expected] of [
    ['takes three transactions in a registry of one process', true, [1, 1, 1]],
    ['takes five transactions if other processes may write to its session', false, [1, 2, 2]],
  ] as const) {
    test(`${name}: a blob pushed by POST, PATCH and PUT ${what}`, async (t) => {
      const { start, append, finish } = await uploadsOf(await open(t), t, onlyProcess);
      const taken: number[] = [];
      const count = async (request: () => Promise<unknown>) =>
        void taken.push(countTransactions(await collectQueries(request)));
      await count(() => start());
      await count(() => append('first chunk'));
      await count(() => finish('first chunk', ''));
      assert.deepEqual(taken, expected);

      await start();
      const ofChunk = countTransactions(await collectQueries(() => append('first chunk')));
      const ofNext = countTransactions(await collectQueries(() => append(', second chunk')));
      assert.deepEqual([ofChunk, ofNext], [expected[1], expected[1]], 'each further chunk');
      // Before files move, the session records their bytes.
      const ofLast = collectQueries(() => finish('first chunk, second chunk, last chunk', ', last chunk'));
      assert.equal(countTransactions(await ofLast), expected[2] + 1, 'the last chunk with the PUT');
    });
  }

  test(`${name}: a pull of a blob makes one query and opens one file`, async (t) => {
    const { start, finish, blobs, opened } = await uploadsOf(await open(t), t, true);
    await start();
    await finish('bytes', 'bytes');
    const before = opened.length;
    const queries = await collectQueries(async () => {
      (await blobs.open(await blobs.find(repositoryName, parseDigest(digestOf('bytes'))))).close();
    });
    assert.deepEqual([queries.length, opened.length - before], [1, 1]);
  });
}
