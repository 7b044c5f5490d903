import { inJsonIds } from './dialect.ts';
import { type Db, type Params, prepare } from './prepare.ts';

const select = prepare((db, p: Params<{ ids: string }>) =>
  db
    .selectFrom('manifests')
    .select(['id', 'bytes'])
    .where('id', 'in', inJsonIds(db, p('ids'))),
);

/** The bytes of the manifests of these ids, those that are there. */
export async function findManifestBytes(db: Db, ids: readonly number[]): Promise<Map<number, Uint8Array>> {
  const rows = await select(db, { ids: JSON.stringify(ids) });
  return new Map(rows.map(({ id, bytes }) => [id, bytes]));
}
