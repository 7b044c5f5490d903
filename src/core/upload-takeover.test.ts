// A writer pauses before or after one of its calls for longer than its lease, and another replica continues the session. The calls
// that the first writer makes afterwards must not damage the upload of its successor.
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { failingDatabase } from '../../test/faults/failing-database.ts';
import { failingStore } from '../../test/faults/failing-store.ts';
import { Faults } from '../../test/faults/faults.ts';
import { dialects, repositoryName, type TestDialect } from '../../test/support/databases.ts';
import { openMemoryStore } from '../../test/support/memory-store.ts';
import { s3Store } from '../../test/support/s3.ts';
import { temporaryDirectory } from '../../test/support/temporary-directory.ts';
import { system } from '../db/changes.ts';
import type { Database } from '../db/database.ts';
import { findUpload, leaseUpload, type SessionKey } from '../db/uploads.ts';
import type { BlobStore } from '../storage/blob-store.ts';
import { openFilesystemStore } from '../storage/filesystem.ts';
import { streamBlob } from '../storage/stream-blob.ts';
import { Blobs } from './blobs.ts';
import { digestBytes } from './running-hash.ts';
import { Uploads } from './uploads.ts';

const owner = 'user:1';
/** More milliseconds than a lease lasts without renewal. */
const lease = 20_000;

const stores: Record<string, (t: TestContext) => Promise<BlobStore | undefined>> = {
  memory: async () => openMemoryStore(),
  files: async (t) => openFilesystemStore(await temporaryDirectory(t)),
  S3: s3Store,
};

type Run = (uploads: Uploads, session: SessionKey) => Promise<unknown>;

/** The paused call, in a session with the bytes `one`; its client pushes `onetwo`, or only `one`. */
const stalled: Record<string, Run> = {
  'a PATCH': (uploads, session) => uploads.append(session, bodyOf('late')),
  'a PUT with the last chunk': (uploads, session) =>
    uploads.finish(session, digestOf('onetwo'), bodyOf('two'), { by: system }),
  'a PUT with a wrong digest': (uploads, session) =>
    uploads.finish(session, digestOf('x'), bodyOf('late'), { by: system }),
  'a PUT without bytes': (uploads, session) =>
    uploads.finish(session, digestOf('one'), bodyOf(''), { by: system }),
  'a DELETE': (uploads, session) => uploads.cancel(session),
};

/** Tried where each call is slow: the requests that free bytes. */
const freeing = ['a PUT with the last chunk', 'a PUT with a wrong digest', 'a DELETE'];
const fast = Object.keys(stalled);
const runs: Record<string, Record<string, readonly string[]>> = {
  SQLite: { memory: fast, files: fast, S3: freeing },
  PostgreSQL: { files: freeing },
};

for (const dialect of dialects) {
  for (const [storeName, tried] of Object.entries(runs[dialect.name] ?? {})) {
    for (const what of tried) {
      test(`${dialect.name}, ${storeName}: ${what} that continues after its lease has expired does not damage its successor's upload`, async (t) => {
        const store = await stores[storeName]?.(t);
        if (store === undefined) return;
        const world = await worldOf(t, dialect, store, false);
        let takeovers = 0;
        for (const moment of ['before', 'after'] as const) {
          for (const wakes of ['in the middle', 'at the end'] as const) {
            // Only the PATCH also runs in a session that its writer has itself taken over from a dead one.
            for (const dead of what === 'a PATCH' ? [false, true] : [false]) {
              for (let at = 1, hit = true; hit; at += 1) {
                const wanted = what === 'a PUT without bytes' ? 'one' : 'onetwo';
                const run = await world.stallAt({ at, moment, wakes, dead, wanted }, stalled[what]!);
                hit = run.hit;
                takeovers += Number(run.takenOver);
              }
            }
          }
        }
        assert.ok(takeovers >= 4, `${takeovers} takeovers`);
      });
    }
    for (const what of dialect.name === 'SQLite' && storeName === 'memory' ? tried : []) {
      test(`${dialect.name}, ${storeName}: ${what} under a kept lease does not damage the upload of a process that takes it`, async (t) => {
        const world = await worldOf(t, dialect, openMemoryStore(), true);
        for (const moment of ['before', 'after'] as const) {
          for (const wakes of ['in the middle', 'at the end'] as const) {
            const wanted = what === 'a PUT without bytes' ? 'one' : 'onetwo';
            const stall = { moment, wakes, wanted, dead: false };
            let at = 1;
            while ((await world.stallAt({ ...stall, at }, stalled[what]!)).hit) at += 1;
            assert.ok(at > 2, `${at} calls`);
          }
        }
      });
    }
  }
}

interface Stall {
  readonly at: number;
  readonly moment: 'before' | 'after';
  /** When the writer continues: after the successor's chunk, or after its blob is finished. */
  readonly wakes: 'in the middle' | 'at the end';
  /** Whether the paused writer has itself taken over from a dead one. */
  readonly dead: boolean;
  /** The bytes of the successor's blob. */
  readonly wanted: string;
}

/** @param onlyProcess whether each process keeps its leases, as if it were the only one */
async function worldOf(t: TestContext, dialect: TestDialect, store: BlobStore, onlyProcess: boolean) {
  const database = await dialect.open(t);
  const faults = new Faults();
  let now = 1_000;
  const clock = () => now;
  const replica = (parts: { database: Database; store: BlobStore }) =>
    new Uploads({ ...parts, clock, blobs: new Blobs({ ...parts, clock }), onlyProcess });
  const blobs = new Blobs({ database, store, clock });

  async function openSession(uploads: Uploads, dead: boolean): Promise<SessionKey> {
    const { id } = await uploads.start(repositoryName, 'sha256', owner);
    const session = { name: repositoryName, id, owner };
    await uploads.append(session, bodyOf('one'));
    if (dead) {
      await database.transaction((db) =>
        leaseUpload(db, id, { before: null, writer: 'dead', until: now + 1, now }),
      );
      now += lease;
    }
    return session;
  }

  const writerOf = async (session: SessionKey) => (await findUpload(database.read, session))?.writer ?? null;
  const sizeOf = async (session: SessionKey) => (await findUpload(database.read, session))?.size ?? 0;

  async function finish(uploads: Uploads, session: SessionKey, wanted: string): Promise<void> {
    await uploads.finish(session, digestOf(wanted), bodyOf(''), { by: system });
    const opened = await blobs.open(await blobs.find(repositoryName, digestOf(wanted)));
    assert.equal(await text(streamBlob(opened)).finally(() => opened.close()), wanted);
  }

  return {
    async stallAt(
      { at, moment, wakes, dead, wanted }: Stall,
      run: Run,
    ): Promise<{ hit: boolean; takenOver: boolean }> {
      const writer = replica({
        database: failingDatabase(database, faults),
        store: failingStore(store, faults),
      });
      const session = await openSession(onlyProcess ? writer : replica({ database, store }), dead);
      const [reached, wake] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      const stall = (): Promise<void> => {
        reached.resolve();
        return wake.promise;
      };
      faults.arm({ at, moment, code: 'EIO', stall });
      const stalled = run(writer, session).catch(() => {});
      await Promise.race([reached.promise, stalled]);
      const { hit } = faults;
      const held = await writerOf(session);
      const goOn = async (): Promise<void> => {
        wake.resolve();
        await stalled;
      };
      // A kept lease does not show whether its request has begun, or has recorded its bytes.
      const isIdle = onlyProcess && (hit === 'ensureFreeSpace' || (await sizeOf(session)) > 'one'.length);
      if (hit === undefined || held === null || held === 'dead' || isIdle) {
        await goOn();
        faults.disarm();
        return { hit: hit !== undefined, takenOver: false };
      }
      now += lease;
      const successor = replica({ database, store });
      try {
        const { size } = await successor.status(session);
        // The session has all bytes already, so its client sends none.
        if (size < wanted.length) await successor.append(session, bodyOf(wanted.slice(size)));
        if (wakes === 'in the middle') await goOn();
        await finish(successor, session, wanted);
      } catch (error) {
        throw new Error(`${moment} ${hit}, woken ${wakes}`, { cause: error });
      } finally {
        await goOn();
        faults.disarm();
      }
      return { hit: true, takenOver: true };
    },
  };
}

function digestOf(text: string) {
  return digestBytes('sha256', Buffer.from(text));
}

function bodyOf(bytes: string) {
  return { open: () => Readable.from(bytes === '' ? [] : [Buffer.from(bytes)]), empty: bytes === '' };
}
