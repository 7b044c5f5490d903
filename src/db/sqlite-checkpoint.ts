import { statSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { workerData } from 'node:worker_threads';

/**
 * The worker that copies the write-ahead log into the database file, as its syncs would stop the event loop.
 * `passive` never makes a writer wait; only a log that outgrew it is worth a moment of their time.
 */
const path = workerData as string;
const every = 500;
const worthIt = 4 << 20;
const tooLarge = 256 << 20;

const database = new DatabaseSync(path, { timeout: 200 });

setInterval(() => {
  const size = statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0;
  if (size < worthIt) return;
  try {
    database.exec(size < tooLarge ? 'pragma wal_checkpoint(passive)' : 'pragma wal_checkpoint(truncate)');
  } catch {
    // A full disk or a busy moment: the log keeps everything, and the next turn tries again.
  }
}, every);
