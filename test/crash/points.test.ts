import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createApp } from '../../src/app.ts';
import { configSchema } from '../../src/config/schema.ts';
import { startChild } from '../support/child.ts';
import { cleanUp } from '../support/cleanup.ts';
import { examine } from '../support/fsck.ts';
import { Client, digestOf, imageOf, ociConfig, type Pushed } from '../support/inject.ts';
import { replayChanges } from '../support/replay-changes.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { AcknowledgedContent } from './acknowledged.ts';
import { clientOf, NoAnswer } from './http-client.ts';

const main = fileURLToPath(new URL('serve-and-die.ts', import.meta.url));

/** The content of the registry before the interrupted request. */
interface Before {
  readonly data: string;
  readonly acknowledged: AcknowledgedContent;
  readonly config: string;
  /** The manifest of `doomed:v1`; the tests delete both the manifest and the tag. */
  readonly doomed: Pushed;
  /** A blob of `doomed` that no manifest needs. */
  readonly loose: string;
}

let registry: Before;

async function makeRegistry(data: string): Promise<Before> {
  const config = configSchema.parse({ data, log: { level: 'silent' } });
  const app = await createApp(config);
  const client = new Client(app.http);
  const acknowledged = new AcknowledgedContent();
  const layer = await client.pushContent('app', randomBytes(100_000));
  const imageConfig = await client.pushContent('app', '{}', ociConfig);
  acknowledged.blob('app', imageConfig.digest, Buffer.from('{}'));
  acknowledged.manifest('app', await client.pushManifest('app', imageOf(imageConfig, [layer]), 'v1'), 'v1');
  const doomed = await client.pushImage('doomed', 'v1');
  const loose = await client.pushBlob('doomed', 'needed by no manifest');
  await app.close();
  return { data, acknowledged, config: imageConfig.digest, doomed, loose };
}

/** One or more requests that change something, and a check whether the change happened. */
interface Action {
  readonly name: string;
  /** Where the process dies: `before` or `after`, a step of `watched.ts`, and its number if the step repeats. */
  readonly points: readonly string[];
  /** Whether the change has happened at the point; by default once its transaction is committed. */
  isDoneAt?(point: string): boolean;
  perform(client: Client): Promise<void>;
  isDone(client: Client): Promise<boolean>;
  /** What a client without an answer does next; by default it repeats the whole action. */
  retry?(client: Client): Promise<void>;
}

const commitPoints = ['before commit', 'after commit', 'after sync log'];
const blobPoints = [
  'before write staged file',
  'after write staged file',
  'before sync staged file',
  'after sync staged file',
  'after make prefix folder',
  'after sync algorithm folder',
  'after make digest folder',
  'before rename',
  'after rename',
  'after sync prefix folder',
  'after sync digest folder',
  ...commitPoints,
];

function isCommittedAt(point: string): boolean {
  return point === 'after commit' || point === 'after sync log';
}

const bytes = randomBytes(300_000);
const digest = digestOf(bytes);

async function holdsBlob(client: Client, name: string, digest: string, bytes?: Buffer): Promise<boolean> {
  const answer = await client.get(`/v2/${name}/blobs/${digest}`);
  if (answer.status === 200 && bytes) assert.ok(answer.body.equals(bytes), 'the blob is incomplete');
  assert.match(String(answer.status), /^(200|404)$/);
  return answer.status === 200;
}

async function holdsManifest(client: Client, name: string, reference: string): Promise<boolean> {
  const { status } = await client.get(`/v2/${name}/manifests/${reference}`);
  assert.match(String(status), /^(200|404)$/);
  return status === 200;
}

async function remove(client: Client, url: string): Promise<void> {
  const { status } = await client.delete(url);
  assert.match(String(status), /^(202|404)$/);
}

function pushInChunks(): Pick<Action, 'perform' | 'retry'> {
  let location: string | undefined;
  let sent = 0;
  const chunk = 100_000;
  const sendFrom = async (client: Client, from: number): Promise<boolean> => {
    for (let at = from; at < bytes.length; at += chunk) {
      sent = Math.min(at + chunk, bytes.length);
      const { status } = await client.patch(location!, bytes.subarray(at, at + chunk));
      if (status === 404) return false;
      assert.equal(status, 202);
    }
    const { status } = await client.finish(location!, digest);
    assert.match(String(status), /^(201|404)$/);
    return status === 201;
  };
  return {
    async perform(client) {
      location = await client.openUpload('app');
      assert.ok(await sendFrom(client, 0));
    },
    /** Continues after the stored bytes, or starts again if the session is gone. */
    async retry(client) {
      const session = location === undefined ? undefined : await client.get(location);
      if (session?.status === 204) {
        const last = Number(/^0-(\d+)$/.exec(session.headers.range!)![1]);
        const stored = last === 0 ? 0 : last + 1;
        assert.ok(stored <= sent, `${stored} bytes are reported as stored, but only ${sent} were sent`);
        if (await sendFrom(client, stored)) return;
      }
      await client.pushBlob('app', bytes);
    },
  };
}

/** Sends the last of two chunks with the PUT. A retry never has to send the first chunk again. */
function pushWithLastChunk(): Pick<Action, 'perform' | 'retry'> {
  let location: string;
  const finish = (client: Client, from: number) => client.finish(location, digest, bytes.subarray(from));
  return {
    async perform(client) {
      location = await client.openUpload('app');
      assert.equal((await client.patch(location, bytes.subarray(0, 200_000))).status, 202);
      assert.equal((await finish(client, 200_000)).status, 201);
    },
    async retry(client) {
      const { status, headers } = await client.get(location);
      if (status === 404) return assert.ok(await holdsBlob(client, 'app', digest, bytes));
      const stored = Number(/^0-(\d+)$/.exec(headers.range!)![1]) + 1;
      assert.ok(stored >= 200_000, `only ${stored} bytes are reported as stored`);
      assert.equal((await finish(client, stored)).status, 201);
    },
  };
}

function cancelUpload(): Action {
  let location: string;
  const cancel = async (client: Client): Promise<void> => {
    const { status } = await client.delete(location);
    assert.match(String(status), /^(204|404)$/);
  };
  return {
    name: 'a cancelled upload',
    points: ['before session 3', 'after session 3', 'before unlink staged file', 'after unlink staged file'],
    isDoneAt: (point) => point !== 'before session 3',
    async perform(client) {
      location = await client.openUpload('app');
      await client.patch(location, bytes);
      await cancel(client);
    },
    isDone: async (client) => (await client.get(location)).status === 404,
    retry: cancel,
  };
}

/** Each test makes its own action, as some actions have state. */
const actions: readonly (() => Action)[] = [
  () => ({
    name: 'a blob by POST and PUT',
    points: blobPoints,
    perform: async (client) => void (await client.pushBlob('app', bytes)),
    isDone: (client) => holdsBlob(client, 'app', digest, bytes),
  }),
  () => ({
    name: 'a blob by one POST',
    points: ['after write staged file', 'after rename', 'after commit'],
    async perform(client) {
      const answer = await client.send('POST', `/v2/app/blobs/uploads/?digest=${digest}`, {}, bytes);
      assert.equal(answer.status, 201);
    },
    isDone: (client) => holdsBlob(client, 'app', digest, bytes),
  }),
  () => ({
    name: 'a blob in chunks',
    points: [
      'after session 1',
      'after write staged file 1',
      'before session 2',
      'after session 2',
      'before write staged file 2',
      'after write staged file 2',
      'after session 3',
      'after write staged file 3',
      'after session 4',
      'after sync staged file',
      'after rename',
      ...commitPoints,
    ],
    ...pushInChunks(),
    isDone: (client) => holdsBlob(client, 'app', digest, bytes),
  }),
  () => ({
    name: 'a blob in chunks, the last with the PUT',
    points: ['after session 3', 'after rename'],
    ...pushWithLastChunk(),
    isDone: (client) => holdsBlob(client, 'app', digest, bytes),
  }),
  cancelUpload,
  () => ({
    name: 'a manifest and its tag',
    points: commitPoints,
    async perform(client) {
      await client.pushManifest(
        'app',
        imageOf({ mediaType: ociConfig, digest: registry.config, size: 2 }, []),
        'new',
      );
    },
    isDone: (client) => holdsManifest(client, 'app', 'new'),
  }),
  () => ({
    name: 'a mount',
    points: commitPoints,
    async perform(client) {
      const url = `/v2/other/blobs/uploads/?mount=${registry.config}&from=app`;
      assert.equal((await client.send('POST', url)).status, 201);
    },
    isDone: (client) => holdsBlob(client, 'other', registry.config),
  }),
  () => ({
    name: 'the deletion of a tag',
    points: commitPoints,
    perform: (client) => remove(client, '/v2/doomed/manifests/v1'),
    isDone: async (client) => !(await holdsManifest(client, 'doomed', 'v1')),
  }),
  () => ({
    name: 'the deletion of a manifest',
    points: commitPoints,
    perform: (client) => remove(client, `/v2/doomed/manifests/${registry.doomed.digest}`),
    async isDone(client) {
      const there = await holdsManifest(client, 'doomed', registry.doomed.digest);
      assert.equal(
        await holdsManifest(client, 'doomed', 'v1'),
        there,
        'a tag without its manifest, or a manifest without its tag',
      );
      return !there;
    },
  }),
  () => ({
    name: 'the deletion of a blob',
    points: commitPoints,
    perform: (client) => remove(client, `/v2/doomed/blobs/${registry.loose}`),
    isDone: async (client) => !(await holdsBlob(client, 'doomed', registry.loose)),
  }),
];

/** An action that was cut short at a point, and the data that it left. */
interface Interrupted {
  readonly point: string;
  readonly action: Action;
  readonly data: string;
}

/**
 * Performs the action once for each point, each time in a registry of its own. The registries share a process, whose start takes
 * longer than the actions; it dies when the last of them has stopped at its point.
 */
async function performAndDie(t: TestContext, makeAction: () => Action): Promise<Interrupted[]> {
  const interrupted = await Promise.all(
    makeAction().points.map(async (point): Promise<Interrupted> => {
      const data = await temporaryDirectory(t);
      await cp(registry.data, data, { recursive: true });
      return { point, action: makeAction(), data };
    }),
  );
  const child = await startChild(t, {
    command: process.execPath,
    args: [main, ...interrupted.flatMap(({ data, point }) => [data, point])],
    env: process.env,
    ready: /listening on (http:\S+(?: http:\S+)*) \.\n/,
  });
  const urls = child.ready[1]!.split(' ');
  await Promise.all(
    interrupted.map(({ action, point }, i) =>
      assert.rejects(
        action.perform(clientOf(urls[i]!)),
        NoAnswer,
        `the request was answered: the process did not reach ${point}`,
      ),
    ),
  );
  assert.equal((await child.exited).signal, 'SIGKILL', child.output());
  return interrupted;
}

describe('killed at any step', () => {
  let template: string;
  before(async () => {
    template = await mkdtemp(join(tmpdir(), 'berth-crash-'));
    registry = await makeRegistry(template);
  });
  after(() => rm(template, { recursive: true, force: true }));

  for (const makeAction of actions) {
    test(makeAction().name, async (t) => {
      for (const interrupted of await performAndDie(t, makeAction)) {
        await t.test(`${interrupted.point}: changes all or nothing and can be repeated`, (t) =>
          verify(t, interrupted),
        );
      }
    });
  }
});

async function verify(t: TestContext, { point, action, data }: Interrupted): Promise<void> {
  const found = await examine(data);
  assert.deepEqual([found.exitCode, found.findings.filter(({ severity }) => severity === 'error')], [0, []]);
  await replayChanges(data);
  assert.ok(found.walked.blobs >= 5 && found.walked.manifests >= 1 && found.walked.tags >= 1);

  // The check runs in this process; only the registry that is killed needs a process of its own.
  const app = await createApp(configSchema.parse({ data, log: { level: 'silent' } }));
  cleanUp(t, () => app.close());
  const client = new Client(app.http);
  assert.equal(await action.isDone(client), (action.isDoneAt ?? isCommittedAt)(point));
  await (action.retry ?? action.perform)(client);
  assert.equal(await action.isDone(client), true);
  await registry.acknowledged.assertAllThere(client);
  await app.close();
  await replayChanges(data);
  assert.deepEqual(
    (await examine(data)).findings.filter(({ severity }) => severity === 'error'),
    [],
  );
}
