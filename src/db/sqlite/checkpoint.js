import { statSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { parentPort, workerData } from 'node:worker_threads';

/**
 * Worker thread that copies the write-ahead log into the database file, as its syncs would block the event loop. The log is kept
 * short, because one damaged byte invalidates everything after it. `passive` never blocks a writer; `truncate` does, so it runs
 * when little is left to copy, or nothing is being written.
 *
 * JavaScript, as each thread loads the TypeScript compiler again for its first file with types, which takes longer than all else here.
 */
const path = /** @type {string} */ (workerData);
const every = 500;
/** Bytes of log from which a checkpoint is worth its sync of the database file. */
const worthIt = 4 << 20;
const tooLarge = 256 << 20;
/** Milliseconds without a write after which the log is truncated, and maximum between truncations during writes. */
const idle = 1_000;
const longest = 10_000;

const database = new DatabaseSync(path, { timeout: 200 });
let emptied = performance.now();

const timer = setInterval(() => {
  const { size, mtimeMs } = statSync(`${path}-wal`, { throwIfNoEntry: false }) ?? { size: 0, mtimeMs: 0 };
  if (size === 0) return;
  const now = performance.now();
  const due = now - emptied > longest || Math.abs(Date.now() - mtimeMs) > idle || size >= tooLarge;
  if (!due && size < worthIt) return;
  checkpoint('passive');
  if (!due) return;
  checkpoint('truncate');
  emptied = now;
}, every);

parentPort?.once('message', () => {
  clearInterval(timer);
  checkpoint('truncate');
  // The last closed connection deletes the log; a terminated thread would close none.
  database.close();
});

/** @param {'passive' | 'truncate'} mode */
function checkpoint(mode) {
  try {
    database.exec(`pragma wal_checkpoint(${mode})`);
  } catch {
    // A full disk or a lock: the log keeps everything, and the next interval tries again.
  }
}
