import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dialects } from '../../test/support/databases.ts';
import type { Database } from '../db/database.ts';
import type { Principal } from './identity.ts';
import { type PullLimit, PullLimits } from './pull-limits.ts';

const hour = 3_600_000;
const anonymous: Principal = { kind: 'anonymous' };
const alice: Principal = { kind: 'user', id: 7, name: 'alice' };
const robot: Principal = { kind: 'robot', id: 8, name: 'acme+ci' };

function limits(database: Database, now = () => 1_800_000_000_000) {
  const failures: unknown[] = [];
  const pulls = new PullLimits({
    database: { ...database, clock: now },
    window: 6 * hour,
    perAddress: 2,
    perUser: 3,
    uncounted: (error) => failures.push(error),
  });
  return { failures, of: (principal: Principal, address = '') => pulls.of(principal, address) as PullLimit };
}

for (const { name, open } of dialects) {
  test(`${name}: users and robots have a limit of their own at any address, anonymous callers that of their network`, async (t) => {
    const { of } = limits(await open(t));
    assert.deepEqual([await of(alice, '192.0.2.1').take(), await of(alice, '192.0.2.2').take()], [2, 1]);
    assert.equal(await of(robot, '192.0.2.1').take(), 2);
    assert.equal(await of(anonymous, '192.0.2.1').take(), 1);
    assert.equal(await of(anonymous, '192.0.2.2').take(), 1);
    assert.equal(await of(anonymous, '2001:db8::1').take(), 1);
    assert.equal(await of(anonymous, '2001:db8::2').take(), 0);
    assert.equal(await of(anonymous, '2001:db8::3').take(), undefined);
    assert.equal(await of(alice).left(), 1);
    assert.deepEqual(
      [of(alice).source, of(robot).source, of(anonymous, '::ffff:192.0.2.1').source],
      ['alice', 'acme+ci', '192.0.2.1'],
    );
  });

  test(`${name}: replicas count together, and a new window begins after retryAfter`, async (t) => {
    const database = await open(t);
    let now = 1_800_000_000_000;
    const [one, other] = [limits(database, () => now), limits(database, () => now)];
    assert.deepEqual([await one.of(alice).take(), await other.of(alice).take()], [2, 1]);
    assert.equal(await one.of(alice).take(), 0);
    assert.equal(await other.of(alice).take(), undefined);
    const { retryAfter, window } = one.of(alice);
    assert.equal(window, 6 * 3_600);
    assert.ok(retryAfter > 0 && retryAfter <= window, `${retryAfter}`);
    now += (retryAfter - 1) * 1_000 - 1;
    assert.equal(await one.of(alice).left(), 0);
    now += 1_001;
    assert.equal(await one.of(alice).left(), 3);
    assert.equal(await one.of(alice).take(), 2);
  });
}

test('windows begin at different times for different subjects', () => {
  const { of } = limits({} as Database);
  const waits = Array.from({ length: 50 }, (_, id) => of({ ...alice, id }).retryAfter);
  assert.ok(new Set(waits).size > 45);
});

test('a pull that cannot be counted is allowed and reported', async (t) => {
  const database = await (dialects[0] as (typeof dialects)[number]).open(t);
  const full = new Error('database or disk is full');
  const { of, failures } = limits({ ...database, transaction: () => Promise.reject(full) });
  assert.equal(await of(alice).take(), 3);
  assert.deepEqual(failures, [full]);
});

test('anonymous callers have no limit where only users are limited', () => {
  const database = { clock: () => 0 } as Database;
  const pulls = new PullLimits({ database, window: hour, perAddress: undefined, perUser: 1, uncounted() {} });
  assert.equal(pulls.of(anonymous, '192.0.2.1'), undefined);
  assert.equal(pulls.of(alice, '192.0.2.1')?.limit, 1);
});
