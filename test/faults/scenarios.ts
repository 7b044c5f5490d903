import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { Reply, Step } from './client.ts';
import { digestOf } from './consistency.ts';

export type Send = (step: Step) => Promise<Reply>;

/** A task of a client: its preparation, its requests, and the check of their result. */
export interface Scenario {
  prepare?(send: Send): Promise<void>;
  run(send: Send): Promise<void>;
  /** Runs after every successful `run`. */
  verify(send: Send): Promise<void>;
}

/** Makes a scenario with its own repository and content. */
export type MakeScenario = (name: string) => Scenario;

const imageType = 'application/vnd.oci.image.manifest.v1+json';
/** If the fault has ended the session, the client starts a new upload. */
const startAgain = ['BLOB_UPLOAD_UNKNOWN'];
const gone = ['BLOB_UNKNOWN', 'MANIFEST_UNKNOWN'];

async function startUpload(send: Send, name: string): Promise<string> {
  const { headers } = await send({ method: 'POST', url: `/v2/${name}/blobs/uploads/`, ok: 202 });
  return headers.get('location') as string;
}

function patch(url: string, body: Buffer | Buffer[], range?: string): Step {
  const headers = range === undefined ? {} : { 'content-range': range };
  // If the chunk was stored in spite of the fault, its repetition is out of order.
  return { method: 'PATCH', url, headers, body, ok: 202, again: [...startAgain, 'RANGE_INVALID'] };
}

function put(location: string, digest: string, body?: Buffer): Step {
  const url = `${location}?digest=${digest}`;
  return {
    method: 'PUT',
    url,
    ok: 201,
    ...(body && { body }),
    // If the first attempt failed before hashing, its bytes are still staged.
    again: body ? [...startAgain, 'DIGEST_INVALID'] : startAgain,
  };
}

async function pushBlob(send: Send, name: string, bytes: Buffer): Promise<void> {
  await send(put(await startUpload(send, name), digestOf(bytes), bytes));
}

function getBlob(name: string, bytes: Buffer, algorithm?: string): Step {
  return {
    method: 'GET',
    url: `/v2/${name}/blobs/${digestOf(bytes, algorithm)}`,
    ok: 200,
    check: ({ body }) => assert.ok(body.equals(bytes), 'the blob has other bytes'),
  };
}

function image(config: Buffer, fields: object = {}): Buffer {
  const descriptor = {
    mediaType: 'application/vnd.oci.image.config.v1+json',
    digest: digestOf(config),
    size: config.length,
  };
  return Buffer.from(
    JSON.stringify({ schemaVersion: 2, mediaType: imageType, config: descriptor, layers: [], ...fields }),
  );
}

function putManifest(name: string, reference: string, body: Buffer): Step {
  const headers = { 'content-type': imageType };
  return { method: 'PUT', url: `/v2/${name}/manifests/${reference}`, headers, body, ok: 201 };
}

function getManifest(name: string, reference: string, bytes: Buffer): Step {
  return {
    method: 'GET',
    url: `/v2/${name}/manifests/${reference}`,
    ok: 200,
    check: ({ body }) => assert.ok(body.equals(bytes), 'the manifest has other bytes'),
  };
}

function pushing(run: (send: Send, name: string, bytes: Buffer) => Promise<void>): MakeScenario {
  return (name) => {
    const bytes = randomBytes(9_000);
    return {
      run: (send) => run(send, name, bytes),
      verify: async (send) => void (await send(getBlob(name, bytes))),
    };
  };
}

export const scenarios = {
  'push: POST, PUT with the body': pushing(pushBlob),

  'push: POST, one chunked PATCH, PUT': pushing(async (send, name, bytes) => {
    const location = await startUpload(send, name);
    await send(patch(location, [bytes.subarray(0, 4_000), bytes.subarray(4_000)]));
    await send(put(location, digestOf(bytes)));
  }),

  'push: POST, PATCHes in order, PUT with the last chunk': pushing(async (send, name, bytes) => {
    const location = await startUpload(send, name);
    await send(patch(location, bytes.subarray(0, 3_000), '0-2999'));
    await send(patch(location, bytes.subarray(3_000, 6_000), '3000-5999'));
    await send(put(location, digestOf(bytes), bytes.subarray(6_000)));
  }),

  'push: one POST': pushing(async (send, name, body) => {
    const url = `/v2/${name}/blobs/uploads/?digest=${digestOf(body)}`;
    await send({ method: 'POST', url, body, ok: 201 });
  }),

  'push: sha512 of a session that hashed with sha256': (name) => {
    const bytes = randomBytes(9_000);
    return {
      async run(send) {
        const location = await startUpload(send, name);
        await send(patch(location, bytes));
        await send(put(location, digestOf(bytes, 'sha512')));
      },
      verify: async (send) => void (await send(getBlob(name, bytes, 'sha512'))),
    };
  },

  'push: a manifest by digest with tags': (name) => {
    const config = randomBytes(100);
    const manifest = image(config);
    return {
      prepare: (send) => pushBlob(send, name, config),
      run: async (send) =>
        void (await send(putManifest(name, `${digestOf(manifest)}?tag=a&tag=b`, manifest))),
      async verify(send) {
        for (const reference of ['a', 'b', digestOf(manifest)]) {
          await send(getManifest(name, reference, manifest));
        }
      },
    };
  },

  pull: (name) => {
    const config = randomBytes(9_000);
    const manifest = image(config);
    const blob = `/v2/${name}/blobs/${digestOf(config)}`;
    const run = async (send: Send): Promise<void> => {
      await send(getManifest(name, 'latest', manifest));
      await send({ method: 'HEAD', url: `/v2/${name}/manifests/${digestOf(manifest)}`, ok: 200 });
      await send({ method: 'HEAD', url: blob, ok: 200 });
      await send(getBlob(name, config));
      await send({
        method: 'GET',
        url: blob,
        headers: { range: 'bytes=10-99' },
        ok: 206,
        check: ({ body }) => assert.ok(body.equals(config.subarray(10, 100))),
      });
      await send({
        method: 'GET',
        url: `/v2/${name}/tags/list`,
        ok: 200,
        check: ({ body }) => assert.deepEqual(JSON.parse(body.toString()).tags, ['latest']),
      });
      await send({
        method: 'GET',
        url: '/v2/_catalog?n=1000',
        ok: 200,
        check: ({ body }) => assert.ok(JSON.parse(body.toString()).repositories.includes(name)),
      });
    };
    return {
      async prepare(send) {
        await pushBlob(send, name, config);
        await send(putManifest(name, 'latest', manifest));
      },
      run,
      verify: run,
    };
  },

  mount: (name) => {
    const bytes = randomBytes(500);
    const source = `${name}/source`;
    const url = `/v2/${name}/blobs/uploads/?mount=${digestOf(bytes)}&from=${source}`;
    return {
      prepare: (send) => pushBlob(send, source, bytes),
      run: async (send) => void (await send({ method: 'POST', url, ok: 201 })),
      verify: async (send) => void (await send(getBlob(name, bytes))),
    };
  },

  'delete: a tag, a manifest, a blob': (name) => {
    const config = randomBytes(100);
    const manifest = image(config);
    const things = [`manifests/old`, `manifests/${digestOf(manifest)}`, `blobs/${digestOf(config)}`];
    return {
      async prepare(send) {
        await pushBlob(send, name, config);
        for (const tag of ['old', 'new']) await send(putManifest(name, tag, manifest));
      },
      async run(send) {
        for (const thing of things) {
          await send({ method: 'DELETE', url: `/v2/${name}/${thing}`, ok: 202, again: gone });
        }
      },
      async verify(send) {
        for (const thing of [...things, 'manifests/new']) {
          await send({ method: 'GET', url: `/v2/${name}/${thing}`, ok: 404 });
        }
      },
    };
  },

  referrers: (name) => {
    const config = randomBytes(100);
    const subject = image(config);
    const descriptor = { mediaType: imageType, digest: digestOf(subject), size: subject.length };
    const referrer = image(config, { subject: descriptor, artifactType: 'application/x' });
    const run = async (send: Send): Promise<void> => {
      await send({
        method: 'GET',
        url: `/v2/${name}/referrers/${digestOf(subject)}?artifactType=application/x`,
        ok: 200,
        check: ({ body }) => {
          const [first] = JSON.parse(body.toString()).manifests;
          assert.equal(first?.digest, digestOf(referrer));
        },
      });
    };
    return {
      async prepare(send) {
        await pushBlob(send, name, config);
        await send(putManifest(name, 'subject', subject));
        await send(putManifest(name, digestOf(referrer), referrer));
      },
      run,
      verify: run,
    };
  },

  'cancel an upload': (name) => {
    let location = '';
    return {
      async prepare(send) {
        location = await startUpload(send, name);
        await send(patch(location, randomBytes(100)));
      },
      run: async (send) => void (await send({ method: 'DELETE', url: location, ok: 204, again: startAgain })),
      verify: async (send) => void (await send({ method: 'GET', url: location, ok: 404 })),
    };
  },
} satisfies Record<string, MakeScenario>;
