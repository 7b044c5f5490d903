// CPU time of all threads for a failed login: the same for every name, so that time does not reveal which users exist.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hash as bcrypt } from '@node-rs/bcrypt';
import { dialects, makeUser } from '../../../test/support/databases.ts';
import { setDisabled } from '../../db/accounts.ts';
import { setPassword } from '../../db/users.ts';
import { Logins } from './logins.ts';
import { hashPassword } from './passwords.ts';

/** The limit that the security model promises for every pair. */
const ratio = 1.2;
const fewestRounds = 3;
const mostRounds = 25;

test('a wrong password costs the same for an unknown user and for every kind of stored hash', async (t) => {
  const database = await (dialects[0] as (typeof dialects)[number]).open(t);
  const clock = database.clock;
  const logins = new Logins({ database, clock, passwordLogin: true, perAddress: 1e6, perAccount: 1e6 });
  const add = async (name: string, hash: string | null) => {
    const id = await makeUser(database, name);
    await database.transaction((db) => setPassword(db, id, hash, 1));
    return id;
  };
  await add('today', await hashPassword('right'));
  await add('without', null);
  for (const cost of [5, 8, 9]) await add(`cost-${cost}`, await bcrypt('right', cost));
  const disabled = await add('disabled', await bcrypt('right', 9));
  await database.transaction((db) => setDisabled(db, disabled, 1));
  const kinds: (readonly [name: string, password: string])[] = [
    ...['nobody', 'today', 'without', 'cost-5', 'cost-8', 'cost-9', 'disabled'].map(
      (name) => [name, 'wrong'] as const,
    ),
    ['cost-9', 'x'.repeat(73)],
  ];
  const least = new Map(kinds.map((kind) => [kind, Number.POSITIVE_INFINITY]));
  const spread = () => Math.max(...least.values()) / Math.min(...least.values());
  // Other work on the machine only adds time, so the least of several runs counts.
  for (let round = 0; round < mostRounds && (round < fewestRounds || spread() > ratio); round++) {
    for (const kind of kinds) {
      const [username, password] = kind;
      const before = process.cpuUsage();
      await assert.rejects(logins.authenticate({ username, password }, '192.0.2.1'), {
        code: 'UNAUTHORIZED',
      });
      const { user, system } = process.cpuUsage(before);
      least.set(kind, Math.min(least.get(kind) as number, user + system));
    }
  }
  const shown = [...least].map(([[name], micros]) => `${name} ${(micros / 1_000).toFixed(1)} ms`).join(', ');
  t.diagnostic(shown);
  assert.ok(spread() <= ratio, shown);
});
