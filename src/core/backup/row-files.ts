// The rows of a table as lines of JSON in compressed files of a few megabytes, so that neither side needs more memory than one file.
import { promisify } from 'node:util';
import { constants, gunzip, gzip } from 'node:zlib';
import { queriesOf } from '../../db/copy/queries.ts';
import type { Row, Table } from '../../db/copy/tables.ts';
import { findManifestBytes } from '../../db/manifest-bytes.ts';
import { nextTurn } from '../../db/next-turn.ts';
import type { Db } from '../../db/prepare.ts';
import { bySize } from '../migrate/sync-table.ts';
import { BackupError } from './backup-error.ts';
import { type RowFile, sha256 } from './contents.ts';

const compress = promisify(gzip);
const decompress = promisify(gunzip);

/** Rows of one query: a few milliseconds on SQLite, which runs on the event loop. */
const pageSize = 500;
/** Characters of JSON in a file, plus at most one row: compressing and reading it must not hold the event loop for long. */
const fileSize = 1 << 20;

/** A file of rows with its content. */
export interface FilledFile extends RowFile {
  readonly content: Uint8Array;
}

/** All rows of a table, in files. @param seen receives each row */
export async function* filesOf(
  db: Db,
  table: Table,
  signal: AbortSignal,
  seen: (row: Row) => void,
): AsyncGenerator<FilledFile> {
  let lines: string[] = [];
  let size = 0;
  let number = 0;
  const fill = async (): Promise<FilledFile> => {
    const rows = lines.length;
    const text = Buffer.from(`${lines.join('\n')}\n`);
    lines = [];
    size = 0;
    number += 1;
    // Digests do not compress, so a higher level costs time and saves little.
    const content = await compress(text, { level: constants.Z_BEST_SPEED });
    const name = `${table.name}-${String(number).padStart(6, '0')}.ndjson.gz`;
    return { name, rows, bytes: content.length, sha256: sha256(content), content };
  };
  for await (const row of rowsOf(db, table, signal)) {
    seen(row);
    const line = JSON.stringify(row);
    lines.push(line);
    size += line.length;
    if (size >= fileSize) yield fill();
  }
  if (lines.length > 0) yield fill();
}

async function* rowsOf(db: Db, table: Table, signal: AbortSignal): AsyncGenerator<Row> {
  const queries = queriesOf(table);
  for (let last: Row | undefined; ; ) {
    await nextTurn(signal);
    const rows = await queries.page(db, last, pageSize);
    if (table.fixed === undefined) yield* rows;
    else for (const some of bySize(rows)) yield* await withBytes(db, some);
    if (rows.length < pageSize) return;
    last = rows.at(-1);
  }
}

/** Adds the bytes of manifests, in the form that {@link queriesOf} inserts. */
async function withBytes(db: Db, rows: readonly Row[]): Promise<Row[]> {
  const bytes = await findManifestBytes(
    db,
    rows.map(({ id }) => id as number),
  );
  return rows.map((row) => {
    const found = bytes.get(row.id as number) as Uint8Array;
    const hex = Buffer.from(found.buffer, found.byteOffset, found.byteLength).toString('hex');
    return { ...row, bytes: `\\x${hex}` };
  });
}

/** The lines of a file. @throws BackupError if the content is not the one that was written */
export async function linesOf(file: RowFile, content: Uint8Array | undefined): Promise<string[]> {
  if (content === undefined) throw new BackupError(`${file.name} is missing`);
  if (content.length !== file.bytes || sha256(content) !== file.sha256) {
    throw new BackupError(`${file.name} is damaged: its size or its SHA-256 is not that of backup.json`);
  }
  const lines = (await decompress(content)).toString().split('\n').slice(0, -1);
  if (lines.length === file.rows) return lines;
  throw new BackupError(`${file.name} has ${lines.length} rows, and backup.json says ${file.rows}`);
}
