import type { BlobStore } from '../../src/storage/blob-store.ts';
import type { Faults } from './faults.ts';

/** A store of which one call fails; a listing may also fail half-way. */
export function failingStore(store: BlobStore, faults: Faults): BlobStore {
  async function* listing<T>(call: string, entries: AsyncIterable<T>): AsyncIterable<T> {
    faults.check(call);
    for await (const entry of entries) {
      yield entry;
      faults.check(call);
    }
  }
  return {
    commitMoves: store.commitMoves,
    // Failing after the file was opened would lose the descriptor, which no store may do.
    async read(key, range) {
      faults.check('read');
      return store.read(key, range);
    },
    stat: (key) => faults.around('stat', () => store.stat(key)),
    delete: (key) => faults.around('delete', () => store.delete(key)),
    list: () => listing('list', store.list()),
    append: (upload, body, options) => faults.around('append', () => store.append(upload, body, options)),
    adopt: (upload) => faults.around('adopt', () => store.adopt(upload)),
    async readUpload(upload) {
      faults.check('readUpload');
      return store.readUpload(upload);
    },
    commit: (upload, key) => faults.around('commit', () => store.commit(upload, key)),
    abort: (upload, kept) => faults.around('abort', () => store.abort(upload, kept)),
    listUploads: () => listing('listUploads', store.listUploads()),
    deleteStaged: (name) => faults.around('deleteStaged', () => store.deleteStaged(name)),
    ensureFreeSpace: () => faults.around('ensureFreeSpace', () => store.ensureFreeSpace()),
    // Not counted: when the marker is written depends on time.
    readMarker: () => store.readMarker(),
    writeMarker: (text) => store.writeMarker(text),
    ping: (options) => faults.around('ping', () => store.ping(options)),
    close: () => store.close(),
  };
}
