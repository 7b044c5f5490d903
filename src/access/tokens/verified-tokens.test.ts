import assert from 'node:assert/strict';
import { test } from 'node:test';
import { anonymousIdentity } from '../identity.ts';
import { type Verified, VerifiedTokens } from './verified-tokens.ts';

const expires = 1_000_000;
const entry: Verified = {
  bearer: { identity: anonymousIdentity, granted: new Map(), catalog: false, expires },
  key: 'a key',
};

/** A token of such a length that sixteen tokens, with their overhead, fill the cache. */
function long(name: number): string {
  return String(name).padEnd((1 << 20) - 1_024, '.');
}

/** The cached tokens among the first `count`. */
function known(tokens: VerifiedTokens, count = 20): number[] {
  return Array.from({ length: count }, (_, name) => name).filter((name) => has(tokens, name));
}

function has(tokens: VerifiedTokens, name: number): boolean {
  return tokens.get(long(name), expires) !== undefined;
}

function fill(tokens: VerifiedTokens, from: number, to: number): void {
  for (let name = from; name < to; name++) tokens.set(long(name), entry);
}

const sixteen = Array.from({ length: 16 }, (_, name) => name);

test('a token is cached until half a minute after its end', () => {
  const tokens = new VerifiedTokens();
  tokens.set('a', entry);
  assert.equal(tokens.get('b', 0), undefined);
  assert.equal(tokens.get('a', 0), entry);
  assert.equal(tokens.get('a', expires + 29_999), entry);
  assert.equal(tokens.get('a', expires + 30_000), undefined);
  assert.equal(tokens.get('a', 0), undefined, 'the token is removed');
});

test('tokens beyond the capacity evict the oldest', () => {
  const tokens = new VerifiedTokens();
  fill(tokens, 0, 16);
  assert.deepEqual(known(tokens), sixteen);
  fill(tokens, 16, 17);
  assert.deepEqual(known(tokens), [...sixteen.slice(1), 16]);
});

test('each token counts a kilobyte beside its text', () => {
  const tokens = new VerifiedTokens();
  const nth = (name: number) => String(name).padEnd(1_024, '.');
  const room = (16 << 20) / (1_024 + 1_024);
  for (let name = 0; name <= room; name++) tokens.set(nth(name), entry);
  assert.deepEqual(
    [0, 1, room].map((name) => tokens.get(nth(name), 0)),
    [undefined, entry, entry],
  );
});

test('the least recently used token is evicted first', () => {
  const tokens = new VerifiedTokens();
  fill(tokens, 0, 16);
  assert.ok(has(tokens, 0));
  fill(tokens, 16, 17);
  assert.deepEqual(known(tokens), [0, ...sixteen.slice(2), 16]);
});

test('a use while half of the cache is free delays the eviction', () => {
  const tokens = new VerifiedTokens();
  fill(tokens, 0, 8);
  assert.ok(has(tokens, 0));
  fill(tokens, 8, 17);
  assert.deepEqual(known(tokens), [0, ...sixteen.slice(2), 16]);
});

test('a token added twice counts once', () => {
  const tokens = new VerifiedTokens();
  fill(tokens, 0, 16);
  for (let again = 0; again < 3; again++) fill(tokens, 5, 6);
  assert.deepEqual(known(tokens), sixteen);
});

test('an ended token frees its size once', () => {
  const tokens = new VerifiedTokens();
  fill(tokens, 0, 16);
  for (let again = 0; again < 3; again++) tokens.get(long(3), expires + 30_000);
  fill(tokens, 16, 17);
  assert.deepEqual(known(tokens), [...sixteen.filter((name) => name !== 3), 16]);
  fill(tokens, 17, 18);
  assert.equal(known(tokens).length, 16);
});
