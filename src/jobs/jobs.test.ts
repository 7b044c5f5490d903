import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { cleanUp } from '../../test/support/cleanup.ts';
import { dialects } from '../../test/support/databases.ts';
import type { Database } from '../db/database.ts';
import { Jobs, type Outcome, type Run } from './jobs.ts';

const job = 'gc';
const interval = 3_600_000;
/** Polls every 2 ms; leases expire by the test's clock. */
const times = { lease: 60, poll: 2 };

/** Processes with one database and a shared clock, which only the test advances. */
class Cluster {
  readonly #t: TestContext;
  readonly database: Database;
  now = Date.UTC(2026, 0, 1);

  constructor(t: TestContext, database: Database) {
    this.#t = t;
    this.database = database;
  }

  /** Starts a process with one job. */
  join(holder: string, run: Run, database = this.database, every = interval): Member {
    const events = new EventEmitter();
    const outcomes: Outcome[] = [];
    const failures: unknown[] = [];
    const transaction: Database['transaction'] = async (...parameters) => {
      const startedAt = this.now;
      const result = await database.transaction(...parameters);
      events.emit('returned', startedAt);
      return result;
    };
    const jobs = new Jobs({
      database: { ...database, transaction },
      clock: () => this.now,
      holder,
      times,
      observer: {
        planned() {},
        started: () => events.emit('started'),
        ended(_job, outcome, _seconds, error) {
          outcomes.push(outcome);
          failures.push(error);
          events.emit('ended');
        },
        leaseFailed: () => events.emit('leaseFailed'),
      },
    });
    cleanUp(this.#t, () => jobs.stop());
    jobs.every(job, every, run);
    return { jobs, events, outcomes, failures };
  }

  /** Resolves when another process has polled `times` times without running the job. */
  async pollsInVain(times = 3): Promise<void> {
    const looked = new EventEmitter();
    const { transaction } = this.database;
    const watched = {
      ...this.database,
      transaction: (async (...parameters) => {
        const taken = await transaction(...parameters);
        assert.equal(taken, false);
        looked.emit('look');
        return taken;
      }) as Database['transaction'],
    };
    const looker = this.join('looker', () => assert.fail('it was not due'), watched);
    for (let i = 0; i < times; i++) await once(looked, 'look');
    await looker.jobs.stop();
  }
}

interface Member {
  readonly jobs: Jobs;
  readonly events: EventEmitter;
  readonly outcomes: Outcome[];
  readonly failures: unknown[];
}

const nothing: Run = async () => {};

/** A run that continues until it is aborted. */
const endless: Run = (signal) =>
  new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason));
  });

/** A database whose connection the test can cut. */
function severable(database: Database): Database & { sever(): void } {
  let severed = false;
  return {
    ...database,
    transaction: async (...parameters) => {
      if (severed) throw new Error('severed');
      return database.transaction(...parameters);
    },
    sever() {
      severed = true;
    },
  };
}

for (const dialect of dialects) {
  const clusterTest = (what: string, run: (cluster: Cluster) => Promise<void>): void => {
    test(`${dialect.name}: ${what}`, async (t) => run(new Cluster(t, await dialect.open(t))));
  };

  clusterTest('a job that has never run is run at once, by one process', async (cluster) => {
    const { promise: release, resolve } = Promise.withResolvers<void>();
    const first = cluster.join('a', () => release);
    await once(first.events, 'started');
    await cluster.pollsInVain();
    resolve();
    await once(first.events, 'ended');
    await cluster.pollsInVain();
    assert.deepEqual(first.outcomes, ['succeeded']);
  });

  clusterTest('a job is due an interval after it last ended in any process', async (cluster) => {
    const first = cluster.join('a', nothing);
    await once(first.events, 'ended');
    await first.jobs.stop();
    cluster.now += interval - 1;
    await cluster.pollsInVain();
    cluster.now += 1;
    const second = cluster.join('b', nothing);
    await once(second.events, 'ended');
    assert.deepEqual(second.outcomes, ['succeeded']);
  });

  clusterTest('a failed run is reported, and the next one starts an interval later', async (cluster) => {
    const broken = new Error('broken');
    const failing = cluster.join('a', () => Promise.reject(broken));
    await once(failing.events, 'ended');
    await cluster.pollsInVain();
    cluster.now += interval;
    await once(failing.events, 'ended');
    assert.deepEqual(failing.outcomes, ['failed', 'failed']);
    assert.deepEqual(failing.failures, [broken, broken]);
  });

  clusterTest('a run renews its lease until it ends', async (cluster) => {
    const running = cluster.join('a', endless);
    await once(running.events, 'started');
    for (let i = 0; i < 3; i++) {
      await leaseIsRenewed(cluster, running);
      cluster.now += times.lease / 2;
    }
    await leaseIsRenewed(cluster, running);
    await cluster.pollsInVain();
    assert.deepEqual(running.outcomes, []);
  });

  clusterTest('another process runs the job of a dead one once its lease has expired', async (cluster) => {
    const database = severable(cluster.database);
    const dying = cluster.join('a', endless, database);
    await once(dying.events, 'started');
    database.sever();
    await once(dying.events, 'leaseFailed');
    await cluster.pollsInVain();
    cluster.now += times.lease + 1;
    const heir = cluster.join('b', nothing);
    await once(heir.events, 'ended');
    assert.deepEqual(heir.outcomes, ['succeeded']);
  });

  clusterTest(
    'a run that cannot renew its lease ends before another process may run the job',
    async (cluster) => {
      const database = severable(cluster.database);
      const running = cluster.join('a', endless, database);
      await once(running.events, 'started');
      database.sever();
      cluster.now += times.lease - 1;
      await once(running.events, 'ended');
      assert.deepEqual(running.outcomes, ['lost']);
      assert.match(String(running.failures[0]), /could not be renewed in time/);
      await cluster.pollsInVain();
    },
  );

  clusterTest('a run ends when another process has taken its lease', async (cluster) => {
    const sleeping = cluster.join('a', endless);
    await once(sleeping.events, 'started');
    const ended = once(sleeping.events, 'ended');
    await cluster.database.transaction(async (db) => {
      await db
        .updateTable('leases')
        .set({ holder: 'b', held_until: cluster.now + times.lease })
        .execute();
    });
    await ended;
    assert.deepEqual(sleeping.outcomes, ['lost']);
    assert.match(String(sleeping.failures[0]), /has taken the lease/);
    await cluster.pollsInVain();
  });

  clusterTest('a process that stops releases its lease at once', async (cluster) => {
    const leaving = cluster.join('a', endless);
    await once(leaving.events, 'started');
    await leaving.jobs.stop();
    assert.deepEqual(leaving.outcomes, ['stopped']);
    const heir = cluster.join('b', nothing);
    await once(heir.events, 'ended');
    assert.deepEqual(heir.outcomes, ['succeeded']);
  });

  clusterTest('retries after a database failure', async (cluster) => {
    let broken = true;
    const database: Database = {
      ...cluster.database,
      transaction: async (...parameters) => {
        if (broken) throw new Error('down');
        return cluster.database.transaction(...parameters);
      },
    };
    const member = cluster.join('a', nothing, database);
    await once(member.events, 'leaseFailed');
    await once(member.events, 'leaseFailed');
    broken = false;
    await once(member.events, 'ended');
    assert.deepEqual(member.outcomes, ['succeeded']);
  });

  clusterTest('one of five polling processes runs the job each time', async (cluster) => {
    let runs = 0;
    const run: Run = async () => {
      runs += 1;
    };
    // Shorter than a lease: a poll that began before the clock was advanced must not see the newer time as a clock error.
    const soon = times.lease - 10;
    const members = Array.from({ length: 5 }, (_, i) =>
      cluster.join(`process ${i}`, run, cluster.database, soon),
    );
    const ended = () => Promise.race(members.map(({ events }) => once(events, 'ended')));
    for (let round = 1; round <= 3; round++) {
      await ended();
      await cluster.pollsInVain(5);
      assert.equal(runs, round);
      cluster.now += soon;
    }
  });
}

/** Resolves when the process knows that its lease lasts its full length from the current time. */
async function leaseIsRenewed({ now }: Cluster, { events }: Member): Promise<void> {
  for (;;) {
    const [startedAt] = await once(events, 'returned');
    if (startedAt === now) break;
  }
  await new Promise(setImmediate);
}
