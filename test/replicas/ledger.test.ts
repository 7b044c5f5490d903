import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Answer } from '../support/inject.ts';
import { digestOf } from '../support/inject.ts';
import { Ledger, Unsettled } from './ledger.ts';

const [one, two] = [Buffer.from('one'), Buffer.from('two')];
const tag = '/v2/app/manifests/latest';
const manifest = (bytes: Buffer) => `/v2/app/manifests/${digestOf(bytes)}`;
const blob = `/v2/app/blobs/${digestOf(one)}`;

const answer = (status: number, body = Buffer.alloc(0), headers = {}): Answer => ({
  status,
  headers,
  body,
  json: () => JSON.parse(body.toString()),
});

const done = () => Promise.resolve(answer(201));
const unanswered = () => {
  const exchange = { method: 'PUT', url: tag, begin: 0, end: 1, status: undefined };
  return Promise.reject(new Unsettled(exchange, undefined));
};

const push = (ledger: Ledger, bytes: Buffer, send = done) =>
  ledger.write({ [tag]: bytes, [manifest(bytes)]: bytes }, send);
const see = (ledger: Ledger, url: string, seen: Answer, range?: [number, number]) =>
  ledger.recordRead(url, seen, { begin: performance.now(), by: 'reader', ...(range && { range }) });

const cases: Record<string, [act: (ledger: Ledger) => Promise<void>, problem?: RegExp]> = {
  'an acknowledged write that is present': [
    async (ledger) => {
      await push(ledger, one);
      see(ledger, tag, answer(200, one));
      see(ledger, manifest(one), answer(200, Buffer.alloc(0), { 'docker-content-digest': digestOf(one) }));
    },
  ],
  'an acknowledged write that is missing': [
    async (ledger) => {
      await push(ledger, one);
      see(ledger, tag, answer(404));
    },
    /^reader: \/v2\/app\/manifests\/latest held nothing/,
  ],
  'an acknowledged move that was undone': [
    async (ledger) => {
      await push(ledger, one);
      await push(ledger, two);
      see(ledger, tag, answer(200, one));
    },
    /held sha256/,
  ],
  'an unanswered move, done or not': [
    async (ledger) => {
      await push(ledger, one);
      await assert.rejects(push(ledger, two, unanswered));
      see(ledger, tag, answer(200, one));
      see(ledger, tag, answer(200, two));
    },
  ],
  'a rejected write that was done': [
    async (ledger) => {
      await push(ledger, one, async () => answer(412));
      see(ledger, manifest(one), answer(200, one));
    },
    /written: never/,
  ],
  'a tag on a deleted manifest': [
    async (ledger) => {
      await push(ledger, one);
      await ledger.write({ [manifest(one)]: undefined }, async () => answer(202));
      see(ledger, tag, answer(200, one));
    },
    /manifests\/sha256:\w+ held/,
  ],
  'a tag deleted with its manifest': [
    async (ledger) => {
      await push(ledger, one);
      await ledger.write({ [manifest(one)]: undefined }, async () => answer(202));
      see(ledger, tag, answer(404));
    },
  ],
  'a tag missing in a list': [
    async (ledger) => {
      await push(ledger, one);
      ledger.recordList('/v2/app/manifests/', [], { begin: performance.now(), by: 'reader' });
    },
    /held nothing/,
  ],
  'other bytes in a range': [
    async (ledger) => {
      await ledger.write({ [blob]: one }, done);
      see(ledger, blob, answer(206, Buffer.from('ne')), [1, 2]);
      see(ledger, blob, answer(206, Buffer.from('xx')), [1, 2]);
    },
    /^reader: bytes 1-2 of .* are not those that were pushed$/,
  ],
  'a rejected read': [async (ledger) => see(ledger, blob, answer(400)), /was answered 400/],
  'a lost update': [
    async (ledger) => {
      await push(ledger, one);
      for (const bytes of [two, Buffer.from('three')]) {
        await ledger.write({ [tag]: bytes }, done, { replaces: digestOf(one) });
      }
    },
    /replaced 2 times by If-Match/,
  ],
  'an answer 500': [
    async (ledger) => void ledger.exchanges.push({ method: 'GET', url: blob, begin: 0, end: 1, status: 500 }),
    /500/,
  ],
};

for (const [what, [act, problem]] of Object.entries(cases)) {
  test(`${problem ? 'reported' : 'not reported'}: ${what}`, async () => {
    const ledger = new Ledger();
    await act(ledger);
    const problems = ledger.problems();
    assert.equal(problems.length, problem ? 1 : 0, problems.join('\n'));
    if (problem) assert.match(problems[0]!, problem);
  });
}
