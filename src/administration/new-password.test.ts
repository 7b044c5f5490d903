import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { dialects } from '../../test/support/databases.ts';
import { makeAccessToken } from '../access/login/access-token.ts';
import { Logins } from '../access/login/logins.ts';
import { hashPassword, verifyPassword } from '../access/login/passwords.ts';
import { changeUser, createUser } from './users.ts';

const idToken = 'eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl';
/** An e with an acute accent and a Hangul syllable, composed and decomposed. */
const letters = [
  '\u00e9',
  'e\u0301',
  '\uac00',
  '\u1100\u1161',
  '\u{1f511}',
  '\ufb01',
  '\u00a0',
  '\u3000',
  'ß',
  'a',
];

for (const [what, password, problem] of [
  ['is empty', '', /is empty/],
  ['has seven characters', 'seven77', /is too short: it needs at least 8 characters/],
  ['has more than 1024 bytes', 'é'.repeat(513), /is too long/],
  ['has a NUL', 'correct\0horse', /control character/],
  ['has a line feed', 'correct\nhorse', /control character/],
  ['has a lone surrogate', 'correct\ud800horse', /half a character/],
  ['begins with a space', ' correct horse', /begins or ends with a blank, which `docker login` removes/],
  ['ends with a space', 'correct horse ', /begins or ends with a blank/],
  ['ends with a blank of another script', 'correct horse\u3000', /begins or ends with a blank/],
  ['has the shape of an access token', makeAccessToken().token, /looks like an access token/],
  ['has the shape of a JWT', idToken, /looks like an ID token/],
] as const) {
  test(`a new password that ${what} is refused`, async (t) => {
    const database = await (dialects[0] as (typeof dialects)[number]).open(t);
    await assert.rejects(createUser(database, { name: 'alice', password }), {
      name: 'Refused',
      message: problem,
    });
  });
}

test('every accepted password logs in, in every Unicode form that a client may send', async (t) => {
  const database = await (dialects[0] as (typeof dialects)[number]).open(t);
  await createUser(database, { name: 'alice' });
  const text = fc.array(fc.constantFrom(...letters, ' ', ':', '.', 'eyJ', 'brth_', '\0', '\ud800'), {
    minLength: 4,
    maxLength: 16,
  });
  const property = fc.asyncProperty(text, async (parts) => {
    const password = parts.join('');
    try {
      await changeUser(database, 'alice', { password });
    } catch (error) {
      assert.equal((error as Error).name, 'Refused', password);
      return;
    }
    const logins = new Logins({
      database,
      clock: Date.now,
      passwordLogin: true,
      perAddress: 99,
      perAccount: 99,
    });
    for (const sent of new Set([
      password,
      password.normalize('NFC'),
      password.normalize('NFD'),
      password.trim(),
    ])) {
      await logins.authenticate({ username: 'alice', password: sent }, '192.0.2.1');
    }
  });
  await fc.assert(property, { numRuns: 25 });
});

test('a hash of the unnormalized password still matches', async () => {
  // A hash of the text below, made with argon2 and without normalization, as in earlier versions.
  const made = '$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$U19auNAaEHhwlq41fB7VWVb+uloTB7k///z3SFaEkM0';
  assert.equal(await verifyPassword('passwort e\u0301 lang', made), true);
  assert.equal(
    await verifyPassword('passwort \u00e9 lang', made),
    false,
    'which form it was made of is not kept',
  );
  const today = await hashPassword('passwort e\u0301 lang');
  for (const form of ['passwort e\u0301 lang', 'passwort \u00e9 lang'])
    assert.equal(await verifyPassword(form, today), true);
});
