import { inJsonIds } from './dialect.ts';
import { type Db, type Params, prepare } from './prepare.ts';

const select = prepare((db, p: Params<{ ids: string }>) =>
  db
    .selectFrom('manifests')
    .select(['id', 'bytes'])
    .where('id', 'in', inJsonIds(db, p('ids'))),
);

/** Bytes of the manifests with these ids, as far as they exist. */
export async function findManifestBytes(db: Db, ids: readonly number[]): Promise<Map<number, Uint8Array>> {
  const rows = await select(db, { ids: JSON.stringify(ids) });
  return new Map(rows.map(({ id, bytes }) => [id, bytes]));
}
