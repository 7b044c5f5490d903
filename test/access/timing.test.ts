// The time of an answer reveals nothing hidden: a request for hidden content costs the same as one for absent content. Each pair of
// the security model ('What a caller without rights can learn') except logins (B6 of the known failures): the same number of queries
// and rows, and at most a fifth more time.
import assert from 'node:assert/strict';
import { StatementSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { linkBlob } from '../../src/db/blob-links.ts';
import { findOrCreateRepository } from '../../src/db/repositories.ts';
import { insertAlias } from '../../src/db/repository-aliases.ts';
import type { Digest } from '../../src/oci/digest.ts';
import { parseName } from '../../src/oci/name.ts';
import {
  type Answer,
  describe,
  type Headers,
  imageOf,
  ociConfig,
  ociLayer,
  refer,
  unknownDigest,
  unknownUpload,
} from '../support/inject.ts';
import { connectPeople, fetchToken, makeLogin } from '../support/people.ts';
import { timeRatio } from '../support/ratio.ts';

const bound = 1.2;
const hidden = 'acme/hidden';
const absent = 'acme/absent';
/** A former name of the hidden repository. */
const alias = 'acme/former';
/** Repositories that hold the layer, none of which the caller may pull. */
const holders = 150;

/** Statements that SQLite runs, and rows that they return. */
const work = { queries: 0, rows: 0 };
for (const method of ['all', 'run', 'get'] as const) {
  const original = StatementSync.prototype[method] as (...args: unknown[]) => unknown;
  StatementSync.prototype[method] = function (this: StatementSync, ...args: unknown[]) {
    const result = original.apply(this, args);
    work.queries++;
    if (Array.isArray(result)) work.rows += result.length;
    return result as never;
  };
}

/** The minimum of several runs, because background jobs may query in between. */
async function workOf(run: () => Promise<unknown>): Promise<{ queries: number; rows: number }> {
  const times: { queries: number; rows: number }[] = [];
  for (let i = 0; i < 5; i++) {
    const { queries, rows } = work;
    await run();
    times.push({ queries: work.queries - queries, rows: work.rows - rows });
  }
  const least = (key: 'queries' | 'rows') => Math.min(...times.map((time) => time[key]));
  return { queries: least('queries'), rows: least('rows') };
}

async function world(t: TestContext) {
  const people = await connectPeople(t);
  const { client, logins, database, accounts } = people;
  const root = client.as(logins.root);
  const layer = await root.pushContent(hidden, 'a layer', ociLayer);
  const config = await root.pushContent(hidden, '{}', ociConfig);
  const image = await root.pushManifest(hidden, imageOf(config, [layer]), 'v1');
  await root.pushManifest(hidden, imageOf(config, [layer], { subject: refer(image) }), 'signature');
  await database.transaction(async (db) => {
    const repository = await findOrCreateRepository(db, parseName(hidden), 1);
    await insertAlias(db, { name: parseName(alias), repository, expiresAt: Date.now() + 3_600_000 }, 1);
    for (let i = 0; i < holders; i++) {
      const id = await findOrCreateRepository(db, parseName(`acme/holder-${i}`), 1);
      await linkBlob(db, id, layer.digest as Digest, 1);
    }
  });
  // Blobs of other owners, then blobs that the caller may see.
  for (let i = 0; i < 30; i++) await root.pushBlob('acme/others', `other ${i}`);
  const stranger = client.as(logins.stranger);
  const own = await stranger.pushContent('stranger/own', '{"own":1}', ociConfig);
  await stranger.pushImage('stranger/own', 'v1');
  const creator = await makeLogin(
    database,
    { id: accounts.writer, name: 'writer' },
    { scopes: 'repository:acme/**:create' },
  );
  const theirs = await client.as(logins.writer).openUpload('acme/app');
  const scopes = ['stranger/own', hidden, alias, absent].map((name) => `repository:${name}:pull,push,delete`);
  const token = await fetchToken(client, logins.stranger, ...scopes);
  return { client, logins, token, creator: creator.headers, own, layer, image, theirs };
}

type World = Awaited<ReturnType<typeof world>>;
type Request = readonly [method: string, path: string, body?: string];

/** The same request for hidden content (`one`) and for absent content (`other`). */
interface Pair {
  readonly what: string;
  readonly as: Headers;
  readonly one: Request;
  readonly other: Request;
}

function pairsOf({ logins: { stranger, boss }, token, creator, own, layer, image, theirs }: World): Pair[] {
  const inRepository = (what: string, as: Headers, method: string, path: string, name = hidden): Pair => ({
    what,
    as,
    one: [method, `/v2/${name}/${path}`],
    other: [method, `/v2/${absent}/${path}`],
  });
  const ofDigest = (
    what: string,
    digest: string,
    request: (digest: string, from: string) => Request,
  ): Pair => ({
    what,
    as: token,
    one: request(digest, hidden),
    other: request(unknownDigest, absent),
  });
  const at = (path: string) => `/v2/stranger/own/${path}`;
  const naming = (digest: string) => JSON.stringify(imageOf(own, [describe('a layer', ociLayer, digest)]));
  const reads = [
    ['a manifest by its tag', 'manifests/v1'],
    ['a manifest by its digest', `manifests/${image.digest}`],
    ['a blob', `blobs/${layer.digest}`],
    ['the tags', 'tags/list'],
    ['the referrers', `referrers/${image.digest}`],
  ] as const;
  return [
    ...reads.flatMap(([what, path]) => [
      inRepository(`${what} of a repository, by a login`, stranger, 'GET', path),
      inRepository(`${what} of a repository, by a token`, token, 'GET', path),
      inRepository(`${what} of a repository, without credentials`, {}, 'GET', path),
    ]),
    inRepository('a blob under a former name, by a login', stranger, 'GET', `blobs/${layer.digest}`, alias),
    inRepository('an upload under a former name', stranger, 'POST', 'blobs/uploads/', alias),
    inRepository('an upload to a repository', stranger, 'POST', 'blobs/uploads/'),
    inRepository('an upload in a repository', stranger, 'GET', `blobs/uploads/${unknownUpload}`),
    inRepository('a manifest pushed to a repository', stranger, 'PUT', 'manifests/v1'),
    ofDigest('a blob in the caller’s repository', layer.digest, (digest) => ['GET', at(`blobs/${digest}`)]),
    ofDigest('a manifest in the caller’s repository', image.digest, (digest) => [
      'GET',
      at(`manifests/${digest}`),
    ]),
    ofDigest('referrers in the caller’s repository', image.digest, (digest) => [
      'GET',
      at(`referrers/${digest}`),
    ]),
    ofDigest('the deletion of a blob in the caller’s repository', layer.digest, (digest) => [
      'DELETE',
      at(`blobs/${digest}`),
    ]),
    ofDigest('a mount', layer.digest, (digest, from) => [
      'POST',
      at(`blobs/uploads/?mount=${digest}&from=${from}`),
    ]),
    ofDigest('a mount under a former name', layer.digest, (digest, from) => [
      'POST',
      at(`blobs/uploads/?mount=${digest}&from=${from === hidden ? alias : from}`),
    ]),
    ofDigest('a mount without a source', layer.digest, (digest) => [
      'POST',
      at(`blobs/uploads/?mount=${digest}`),
    ]),
    ofDigest('a manifest that names the blob', layer.digest, (digest) => [
      'PUT',
      at('manifests/v2'),
      naming(digest),
    ]),
    {
      what: 'the end of an unknown upload, by a caller who may not pull',
      as: creator,
      one: ['PUT', `/v2/${hidden}/blobs/uploads/${unknownUpload}?digest=${layer.digest}`],
      other: ['PUT', `/v2/${hidden}/blobs/uploads/${unknownUpload}?digest=${unknownDigest}`],
    },
    {
      what: 'an upload of another user',
      as: boss,
      one: ['GET', theirs],
      other: ['GET', theirs.replace(/[^/]+$/, unknownUpload)],
    },
  ];
}

test('hidden and absent content take the same work, for every pair of the security model', async (t) => {
  const set = await world(t);
  const wrong: string[] = [];
  for (const { what, as, one, other } of pairsOf(set)) {
    const type = { 'content-type': 'application/vnd.oci.image.manifest.v1+json' };
    const send =
      ([method, path, body]: Request) =>
      (): Promise<Answer> =>
        set.client.send(
          method,
          path,
          method === 'PUT' && path.includes('manifests') ? { ...as, ...type } : as,
          body,
        );
    const pair = [send(one), send(other)] as const;
    const [first, second] = [await pair[0](), await pair[1]()];
    assert.equal(first.status, second.status, what);
    const [mine, theirs] = [await workOf(pair[0]), await workOf(pair[1])];
    const { ratio, times } = await timeRatio(pair, { bound });
    const [us, otherUs] = times.map(Math.round);
    t.diagnostic(
      `${ratio.toFixed(2)}  ${us} and ${otherUs} µs, ${mine.queries} and ${theirs.queries} queries, ` +
        `${mine.rows} and ${theirs.rows} rows: ${what} (${first.status})`,
    );
    // The row of the hidden repository is the only one allowed in addition.
    const same = mine.queries === theirs.queries && Math.abs(mine.rows - theirs.rows) <= 1;
    if (!same || ratio > bound) wrong.push(what);
  }
  assert.deepEqual(wrong, []);
});
