import { type Db, type Params, prepare } from './prepare.ts';

/** The holder of a lease that nobody holds. */
const nobody = '';

/**
 * Milliseconds after which no lease of `length` can end that is good now: nobody is promised that long, so the row was written by a
 * clock that has been set right since.
 */
export function implausibleAfter(length: number): number {
  return 2 * length;
}

export interface LeaseTerms {
  readonly name: string;
  readonly holder: string;
  /** When the lease ends unless it is renewed. */
  readonly until: number;
}

const take = prepare(
  (db, p: Params<LeaseTerms & { now: number; restedSince: number; implausible: number }>) =>
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
              where.and([where('leases.holder', '<>', nobody), where('leases.held_until', '<', p('now'))]),
              where.and([
                where('leases.holder', '=', nobody),
                where('leases.held_until', '<=', p('restedSince')),
              ]),
              where('leases.held_until', '>', p('implausible')),
            ]),
          ),
      )
      .returning('name'),
);

/**
 * Makes `holder` the only one who may do what the lease is for, until `until`. False while it is another's, and while nobody
 * held it but somebody did after `restedSince`. A holder that let it run out, as the dead do, has it no more, and its own lease
 * may be taken twice: the answer to the first time may have been lost.
 */
export async function takeLease(
  db: Db,
  lease: LeaseTerms & { readonly now: number; readonly restedSince: number },
): Promise<boolean> {
  const implausible = lease.now + implausibleAfter(lease.until - lease.now);
  return (await take(db, { ...lease, implausible })).length > 0;
}

const selectEnded = prepare((db) =>
  db
    .selectFrom('leases')
    .select(['name', 'held_until as at'])
    .where('holder', '=', nobody)
    // A job that was interrupted, and what is no job, rest since no time.
    .where('held_until', '>', 0),
);

/** The leases that nobody holds, and when each was given back: in milliseconds since 1970. */
export function listRestingLeases(db: Db): Promise<{ name: string; at: number }[]> {
  return selectEnded(db, {});
}

const extend = prepare((db, p: Params<LeaseTerms>) =>
  db
    .updateTable('leases')
    .set({ held_until: p('until') })
    .where('name', '=', p('name'))
    .where('holder', '=', p('holder'))
    .returning('name'),
);

/** False when another has taken it over. */
export async function renewLease(db: Db, lease: LeaseTerms): Promise<boolean> {
  return (await extend(db, lease)).length > 0;
}

const giveBack = prepare((db, p: Params<{ name: string; holder: string; at: number }>) =>
  db
    .updateTable('leases')
    .set({ holder: nobody, held_until: p('at') })
    .where('name', '=', p('name'))
    .where('holder', '=', p('holder'))
    .returning('name'),
);

/** Ends the lease at the time `at`, from which others count how long it rested. False when it was another's already. */
export async function giveBackLease(
  db: Db,
  lease: { readonly name: string; readonly holder: string; readonly at: number },
): Promise<boolean> {
  return (await giveBack(db, lease)).length > 0;
}
