import { type Db, type Params, prepare } from './prepare.ts';

/** Stored as the holder of a released lease. */
const released = '';

/**
 * Milliseconds from now beyond which no valid lease of `length` ends: a later end was written while the clock was ahead, and is
 * ignored.
 */
export function implausibleAfter(length: number): number {
  return 2 * length;
}

export interface LeaseTerms {
  readonly name: string;
  readonly holder: string;
  /** End of the lease unless it is renewed, in milliseconds since 1970. */
  readonly until: number;
}

const take = prepare(
  (db, p: Params<LeaseTerms & { now: number; releasedBefore: number; implausible: number }>) =>
    db
      .insertInto('leases')
      .values({ name: p('name'), holder: p('holder'), held_until: p('until') })
      .onConflict((conflict) =>
        conflict
          .column('name')
          .doUpdateSet({ holder: p('holder'), held_until: p('until') })
          .where((where) =>
            where.or([
              where('leases.holder', '=', p('holder')),
              where.and([where('leases.holder', '<>', released), where('leases.held_until', '<', p('now'))]),
              where.and([
                where('leases.holder', '=', released),
                where('leases.held_until', '<=', p('releasedBefore')),
              ]),
              where('leases.held_until', '>', p('implausible')),
            ]),
          ),
      )
      .returning('name'),
);

/**
 * Takes the lease for `holder` until `until`. False while another process holds it, and when it was released after `releasedBefore`.
 * An expired lease can be taken. The holder can take its own again, as the answer to its first attempt may have been lost.
 */
export async function takeLease(
  db: Db,
  lease: LeaseTerms & { readonly now: number; readonly releasedBefore: number },
): Promise<boolean> {
  const implausible = lease.now + implausibleAfter(lease.until - lease.now);
  return (await take(db, { ...lease, implausible })).length > 0;
}

const selectEnded = prepare((db) =>
  db
    .selectFrom('leases')
    .select(['name', 'held_until as at'])
    .where('holder', '=', released)
    // 0: the job was interrupted, or the lease is not of a job.
    .where('held_until', '>', 0),
);

/** Released leases, each with the time of its release, in milliseconds since 1970. */
export function listReleasedLeases(db: Db): Promise<{ name: string; at: number }[]> {
  return selectEnded(db, {});
}

const end = prepare((db, p: Params<{ name: string }>) =>
  db
    .updateTable('leases')
    .set({ holder: 'ended', held_until: 0 })
    .where('name', '=', p('name'))
    .where('holder', '<>', released),
);

/** Ends a lease that is held, so that it can be taken at once. Its holder is told so at its next renewal. */
export async function endLease(db: Db, name: string): Promise<void> {
  await end(db, { name });
}

const extend = prepare((db, p: Params<LeaseTerms>) =>
  db
    .updateTable('leases')
    .set({ held_until: p('until') })
    .where('name', '=', p('name'))
    .where('holder', '=', p('holder'))
    .returning('name'),
);

/** False when another process has taken the lease. */
export async function renewLease(db: Db, lease: LeaseTerms): Promise<boolean> {
  return (await extend(db, lease)).length > 0;
}

const release = prepare((db, p: Params<{ name: string; holder: string; at: number }>) =>
  db
    .updateTable('leases')
    .set({ holder: released, held_until: p('at') })
    .where('name', '=', p('name'))
    .where('holder', '=', p('holder'))
    .returning('name'),
);

/** Releases the lease as of the time `at`, which `releasedBefore` is compared with. False when another process had taken it. */
export async function releaseLease(
  db: Db,
  lease: { readonly name: string; readonly holder: string; readonly at: number },
): Promise<boolean> {
  return (await release(db, lease)).length > 0;
}
