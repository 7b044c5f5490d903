import { statSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { parentPort, workerData } from 'node:worker_threads';

/**
 * The worker that copies the write-ahead log into the database file, as its syncs would stop the event loop. The log is kept
 * short: what one damaged byte takes along is all that comes behind it. `passive` never makes a writer wait; `truncate` does,
 * so it comes when little is left to copy, or nobody writes.
 */
const path = workerData as string;
const every = 500;
/** Bytes of log that are worth a sync of the database file. */
const worthIt = 4 << 20;
const tooLarge = 256 << 20;
/** Milliseconds without a write after which the log is emptied, and between two times that it is while there are writes. */
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
  // The connection that is closed last takes the log away; a thread that is terminated closes none.
  database.close();
});

function checkpoint(mode: 'passive' | 'truncate'): void {
  try {
    database.exec(`pragma wal_checkpoint(${mode})`);
  } catch {
    // A full disk or a busy moment: the log keeps everything, and the next turn tries again.
  }
}
