import { tables } from '../../src/db/copy/tables.ts';
import type { Database } from '../../src/db/database.ts';

const ends = ['migration.end', 'registry.restore'];

/** All rows that a migration or a backup copies, with their bytes, without the changes that record its end. */
export async function contentOf({ read }: Database): Promise<Record<string, unknown[]>> {
  const content: Record<string, unknown[]> = {};
  for (const { name, key } of tables) {
    let query = read.selectFrom(name as 'tags').selectAll();
    for (const column of key) query = query.orderBy(column as 'name');
    const rows = (await query.execute()).filter(
      (row) => !('kind' in row && ends.includes(row.kind as string)),
    );
    content[name] = rows.map((row) => ({
      ...row,
      ...('bytes' in row && { bytes: Buffer.from(row.bytes as Uint8Array).toString() }),
    }));
  }
  return content;
}
