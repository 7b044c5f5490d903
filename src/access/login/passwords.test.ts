import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hash as bcrypt } from '@node-rs/bcrypt';
import { hashPassword, isBcrypt, needsRehash, verifyPassword } from './passwords.ts';
import { printArgon2 } from './phc.ts';

const password = 'correct horse battery staple';

test('a password is hashed with argon2id, 19 MiB, two passes and a random salt', async () => {
  const [one, other] = await Promise.all([hashPassword(password), hashPassword(password)]);
  assert.match(one, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/);
  assert.notEqual(one, other);
  assert.equal(await verifyPassword(password, one), true);
  assert.equal(needsRehash(one), false);
  for (const wrong of ['', 'Correct horse battery staple', `${password}\0`, `${password} `]) {
    assert.equal(await verifyPassword(wrong, one), false);
  }
});

test('hashes made by other programs match their passwords, with every cost parameter within the limits', async () => {
  // Vectors of the reference implementation (its test.c).
  for (const [hash, text] of [
    ['$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc', 'password'],
    ['$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc', 'password'],
  ] as const) {
    assert.equal(await verifyPassword(text, hash), true, hash);
    assert.equal(await verifyPassword('other', hash), false, hash);
    assert.equal(needsRehash(hash), true);
  }
});

test('bcrypt hashes of every variant verify and need a rehash', async () => {
  const made = await bcrypt(password, 4);
  for (const version of ['2a', '2b', '2y']) {
    const hash = made.replace('2b', version);
    assert.ok(isBcrypt(hash));
    assert.equal(await verifyPassword(password, hash), true);
    assert.equal(await verifyPassword('other', hash), false);
    assert.equal(needsRehash(hash), true);
  }
});

test('bcrypt never matches a password that it does not read completely', async () => {
  const full = 'x'.repeat(72);
  const hash = await bcrypt(full, 4);
  assert.equal(await verifyPassword(full, hash), true);
  assert.equal(await verifyPassword(`${full}y`, hash), false, '73 bytes, of which bcrypt reads 72');
  const wide = await bcrypt('é'.repeat(36), 4);
  assert.equal(await verifyPassword('é'.repeat(36), wide), true);
  assert.equal(await verifyPassword('é'.repeat(37), wide), false, 'bytes, not characters');
  const repeated = await bcrypt('a', 4);
  assert.equal(
    await verifyPassword('a\0a', repeated),
    false,
    'bcrypt reads the bytes of a password in a cycle',
  );
});

test('argon2id distinguishes passwords of 72 and 73 bytes', async () => {
  const hash = await hashPassword('x'.repeat(72));
  assert.equal(await verifyPassword('x'.repeat(73), hash), false);
  assert.equal(await verifyPassword('x'.repeat(72), hash), true);
});

test('bcrypt of every cost from 4 to 15 can be checked', () => {
  const costs = Array.from({ length: 100 }, (_, cost) => cost);
  const checked = costs.filter((cost) => isBcrypt(`$2b$${`${cost}`.padStart(2, '0')}$${'a'.repeat(53)}`));
  assert.deepEqual(checked, [4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
});

test('a hash with another cost or a shorter tag needs a rehash', () => {
  const today = {
    memory: 19_456,
    passes: 2,
    parallelism: 1,
    salt: Buffer.alloc(16),
    tag: Buffer.alloc(32),
  };
  assert.equal(needsRehash(printArgon2(today)), false);
  assert.equal(needsRehash(printArgon2({ ...today, salt: Buffer.alloc(17), tag: Buffer.alloc(33) })), false);
  for (const other of [
    { memory: 19_455 },
    { memory: 19_457 },
    { passes: 1 },
    { passes: 3 },
    { parallelism: 2 },
    { salt: Buffer.alloc(15) },
    { tag: Buffer.alloc(31) },
  ]) {
    assert.equal(needsRehash(printArgon2({ ...today, ...other })), true, JSON.stringify(other));
  }
});

const salt = 'c29tZXNhbHRzb21lc2FsdA';
const tag = 'A'.repeat(43);
const malformed = [
  '',
  'password',
  '$argon2id$',
  `$argon2i$v=19$m=19456,t=2,p=1$${salt}$${tag}`,
  `$argon2id$v=16$m=19456,t=2,p=1$${salt}$${tag}`,
  `$argon2id$m=19456,t=2,p=1$${salt}$${tag}`,
  `$argon2id$v=19$m=0,t=2,p=1$${salt}$${tag}`,
  `$argon2id$v=19$m=7,t=2,p=1$${salt}$${tag}`,
  `$argon2id$v=19$m=999999,t=2,p=1$${salt}$${tag}`,
  `$argon2id$v=19$m=4194304,t=2,p=1$${salt}$${tag}`,
  `$argon2id$v=19$m=19456,t=99,p=1$${salt}$${tag}`,
  `$argon2id$v=19$m=19456,t=2,p=0$${salt}$${tag}`,
  `$argon2id$v=19$m=19456,t=2,p=1$$${tag}`,
  `$argon2id$v=19$m=19456,t=2,p=1$${salt}$`,
  `$argon2id$v=19$m=19456,t=2,p=1$${salt}$${tag}=`,
  `$argon2id$v=19$m=19456,t=2,p=1$${salt}$${tag}\n`,
  `$2x$04$${'a'.repeat(53)}`,
  `$2b$31$${'a'.repeat(53)}`,
  `$2b$16$${'a'.repeat(53)}`,
  `$2b$03$${'a'.repeat(53)}`,
  `$2b$+4$${'a'.repeat(53)}`,
  `$2b$04$${'a'.repeat(52)}`,
  `$2b$04$${'a'.repeat(54)}`,
  `$2b$04$${'a'.repeat(52)}!`,
  `x$2b$04$${'a'.repeat(53)}`,
  '$apr1$salt$hash',
  '{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=',
];

test('an invalid or too expensive hash never matches, and does not throw', async () => {
  for (const hash of [undefined, ...malformed]) {
    assert.equal(await verifyPassword(password, hash), false, String(hash));
    if (hash !== undefined) assert.equal(needsRehash(hash), true, hash);
  }
});

test('a check takes the same time for both kinds of hash and for none', async () => {
  const hashes = {
    argon2: await hashPassword(password),
    bcrypt: await bcrypt(password, 4),
    none: undefined,
    malformed: 'password',
  };
  const times = new Map(Object.keys(hashes).map((kind) => [kind, [] as number[]]));
  for (let i = 0; i < 15; i++) {
    for (const [kind, hash] of Object.entries(hashes)) {
      const start = performance.now();
      await verifyPassword('wrong', hash);
      times.get(kind)?.push(performance.now() - start);
    }
  }
  const medians = [...times.values()].map((all) => all.sort((a, b) => a - b)[7] as number);
  // Without a hash it would be a hundred times faster. The wide bound allows for other work on the machine.
  assert.ok(Math.max(...medians) < 2 * Math.min(...medians), medians.join(', '));
});
