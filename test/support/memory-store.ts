import { Readable } from 'node:stream';
import { type BlobKey, type BlobStore, type StagedUpload, UploadLost } from '../../src/storage/blob-store.ts';
import { followBody } from '../../src/storage/follow-body.ts';

interface Stored {
  readonly bytes: Buffer;
  readonly modifiedAt: number;
}

/** Keeps blobs in memory and reads them as streams; for tests of code that uses a store. */
export function openMemoryStore(): BlobStore {
  const blobs = new Map<BlobKey, Stored>();
  /** By the upload's id and, after a takeover, its `staged`. */
  const uploads = new Map<string, Stored>();
  let marker: string | undefined;
  let adoptions = 0;
  const nameOf = ({ id, staged }: StagedUpload): string => (staged === '' ? id : `${id}.${staged}`);

  function stagedBytes(upload: StagedUpload): Buffer {
    const found = uploads.get(nameOf(upload))?.bytes;
    if (upload.size > 0 && (found?.length ?? 0) < upload.size) throw new UploadLost(upload.id, found?.length);
    return (found ?? Buffer.alloc(0)).subarray(0, upload.size);
  }

  return {
    commitMoves: false,

    async read(key, range) {
      const bytes = blobs.get(key)?.bytes;
      if (bytes === undefined) return undefined;
      const stream = streamOf(range ? bytes.subarray(range.start, range.end + 1) : bytes);
      return { stream, size: bytes.length, close: () => void stream.destroy() };
    },

    async stat(key) {
      const found = blobs.get(key);
      return found && { size: found.bytes.length };
    },

    async delete(key) {
      blobs.delete(key);
    },

    async *list() {
      for (const [name, { modifiedAt }] of [...blobs]) yield { name, modifiedAt };
    },

    async append(upload, body, { tap, signal }) {
      const { chunks, interrupted } = await collect(body, tap, signal);
      const { staged, size } = upload;
      if (chunks.length === 0 && size > 0) return { size, staged, ...(interrupted && { interrupted }) };
      const bytes = Buffer.concat([stagedBytes(upload), ...chunks]);
      uploads.set(nameOf(upload), { bytes, modifiedAt: Date.now() });
      return { size: bytes.length, staged, ...(interrupted && { interrupted }) };
    },

    async adopt(upload) {
      const bytes = stagedBytes(upload);
      // Unique: two writers may take over from the same one, the second after the first one's lease.
      const staged = `${++adoptions}`;
      if (upload.size > 0) uploads.set(nameOf({ ...upload, staged }), { bytes, modifiedAt: Date.now() });
      return staged;
    },

    async readUpload(upload) {
      return streamOf(stagedBytes(upload));
    },

    async commit(upload, key) {
      blobs.set(key, { bytes: stagedBytes(upload), modifiedAt: Date.now() });
    },

    async abort(upload, kept) {
      if (upload.staged !== kept) uploads.delete(nameOf(upload));
    },

    async *listUploads() {
      for (const [name, { modifiedAt }] of [...uploads]) {
        yield { name, upload: name.split('.')[0] as string, modifiedAt };
      }
    },

    async deleteStaged(name) {
      uploads.delete(name);
    },

    async ensureFreeSpace() {},

    async readMarker() {
      return marker;
    },

    async writeMarker(text) {
      marker = text;
    },

    async ping() {},
    async close() {},
  };
}

function streamOf(bytes: Buffer): Readable {
  return Readable.from(bytes.length === 0 ? [] : [bytes], { objectMode: false });
}

/** The chunks received until the body ends, breaks off or `signal` aborts. */
function collect(
  body: Readable,
  tap: (chunk: Buffer) => void,
  signal: AbortSignal | undefined,
): Promise<{ chunks: Buffer[]; interrupted?: Error }> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    followBody(body, signal, {
      data: (chunk) => {
        tap(chunk);
        chunks.push(chunk);
      },
      end: (interrupted) => resolve({ chunks, ...(interrupted && { interrupted }) }),
    });
  });
}
