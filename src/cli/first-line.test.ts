import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Failure } from '../failure.ts';
import { readFirstLine } from './first-line.ts';

const context = { env: {}, out: () => {}, err: () => {} };

async function* given(...parts: (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield Buffer.from(part as Uint8Array);
}

const euro = Buffer.from('€');

for (const [what, parts, line] of [
  ['a line', ['secret\n'], 'secret'],
  ['the first of two lines', ['one\ntwo\n'], 'one'],
  ['a line without an end', ['secret'], 'secret'],
  ["a line with Windows' end", ['secret\r\n'], 'secret'],
  ['a line in pieces, a letter cut through', ['a', euro.subarray(0, 1), euro.subarray(1), '\nb'], 'a€'],
  ['blanks', [' a b \n'], ' a b '],
  ['an empty line', ['\nsecret'], ''],
  ['nothing', [], ''],
] as const) {
  test(`${what} is read without its end`, async () => {
    assert.equal(await readFirstLine({ ...context, input: given(...parts) }), line);
  });
}

test('does not wait for input after the first line', async () => {
  async function* endless(): AsyncGenerator<Uint8Array> {
    yield Buffer.from('secret\n');
    throw new Error('read on');
  }
  assert.equal(await readFirstLine({ ...context, input: endless() }), 'secret');
});

test('a command without standard input reads an empty line', async () => {
  assert.equal(await readFirstLine(context), '');
});

test('stops reading a line that is too long', async () => {
  async function* endless(): AsyncGenerator<Uint8Array> {
    for (;;) yield Buffer.alloc(1 << 14, 'a');
  }
  await assert.rejects(readFirstLine({ ...context, input: endless() }), Failure);
});

test('refuses a line that is not UTF-8', async () => {
  await assert.rejects(readFirstLine({ ...context, input: given(Buffer.from([0xff, 0x0a])) }), Failure);
});
