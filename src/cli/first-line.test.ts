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
  test(`of ${what}, all but the end is read`, async () => {
    assert.equal(await readFirstLine({ ...context, input: given(...parts) }), line);
  });
}

test('what comes after the first line is not waited for', async () => {
  async function* endless(): AsyncGenerator<Uint8Array> {
    yield Buffer.from('secret\n');
    throw new Error('read on');
  }
  assert.equal(await readFirstLine({ ...context, input: endless() }), 'secret');
});

test('a command without standard input reads an empty line', async () => {
  assert.equal(await readFirstLine(context), '');
});

test('a line that does not end is not read for ever', async () => {
  async function* endless(): AsyncGenerator<Uint8Array> {
    for (;;) yield Buffer.alloc(1 << 14, 'a');
  }
  await assert.rejects(readFirstLine({ ...context, input: endless() }), Failure);
});

test('what is not UTF-8 is no line', async () => {
  await assert.rejects(readFirstLine({ ...context, input: given(Buffer.from([0xff, 0x0a])) }), Failure);
});
