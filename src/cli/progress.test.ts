import assert from 'node:assert/strict';
import { test } from 'node:test';
import { printBytes } from '../core/print-bytes.ts';
import { Progress, printSeconds } from './progress.ts';

function start(options: { terminal?: boolean; json?: boolean } = {}) {
  const out: string[] = [];
  const err: string[] = [];
  let now = 0;
  const context = {
    env: {},
    out: (text: string) => void out.push(text),
    err: (text: string) => void err.push(text),
    terminal: options.terminal ?? false,
  };
  const progress = new Progress(context, { json: options.json ?? false }, () => now);
  return { progress, out, err, pass: (milliseconds: number) => (now += milliseconds) };
}

test('a line has count, total, rate and remaining time', () => {
  const { progress, err, pass } = start();
  using _ = progress;
  progress.begin({ name: 'copying', unit: 'blobs', total: 2000, totalBytes: 10 * 2 ** 30 });
  pass(10_000);
  progress.add({ count: 1000, bytes: 2 * 2 ** 30 });
  progress.print();
  assert.deepEqual(err, ['copying: 1,000 of 2,000 blobs, 2.0 GiB of 10.0 GiB, 204.8 MiB/s, 40 s left\n']);
});

test('the rate of rows is in rows per second', () => {
  const { progress, err, pass } = start();
  using _ = progress;
  progress.begin({ name: 'tags', unit: 'rows', total: 1_000_000 });
  pass(1000);
  progress.add({ count: 1_000 });
  progress.print();
  assert.deepEqual(err, ['tags: 1,000 of 1,000,000 rows, 1,000/s, 17 min left\n']);
});

test('a corrected total changes the remaining time', () => {
  const { progress, err, pass } = start();
  using _ = progress;
  progress.begin({ name: 'reading blobs', unit: 'blobs', total: 0 });
  pass(1000);
  progress.add({ count: 1_000 });
  progress.expect(3_000);
  progress.print();
  assert.deepEqual(err, ['reading blobs: 1,000 of 3,000 blobs, 1,000/s, 2 s left\n']);
});

test('a line of the result is printed on standard output, below the progress', () => {
  const { progress, out, err } = start({ terminal: true });
  using _ = progress;
  progress.begin({ name: 'tags', unit: 'rows', total: 1 });
  progress.print();
  progress.result('note: x');
  assert.deepEqual([out, err.at(-1)], [['note: x\n'], '\r\x1b[K']);
});

test('the rate is measured over the last seconds', () => {
  const { progress, err, pass } = start();
  using _ = progress;
  progress.begin({ name: 'tags', unit: 'rows', total: 1_000_000 });
  progress.add({ count: 500_000 });
  for (let i = 0; i < 10; i++) {
    pass(5_000);
    progress.add({ count: 50 });
    progress.print();
  }
  assert.match(err.at(-1)!, /, 10\/s, 13 h 53 min left/);
});

test('on a terminal the progress line is overwritten, and other lines stay', () => {
  const { progress, err } = start({ terminal: true });
  progress.begin({ name: 'tags', unit: 'rows', total: 10 });
  progress.print();
  progress.printLine('error: something');
  progress.print();
  progress[Symbol.dispose]();
  assert.equal(
    err.join(''),
    '\r\x1b[Ktags: 0 of 10 rows, 0/s\r\x1b[Kerror: something\n\r\x1b[Ktags: 0 of 10 rows, 0/s\r\x1b[K',
  );
});

test('JSON goes to standard output, one object a line', () => {
  const { progress, out, err, pass } = start({ json: true, terminal: true });
  using _ = progress;
  progress.begin({ name: 'tags', unit: 'rows', total: 10 });
  pass(1000);
  progress.add({ count: 5 });
  progress.print();
  assert.deepEqual(
    out.map((line) => JSON.parse(line)),
    [
      {
        progress: {
          name: 'tags',
          unit: 'rows',
          total: 10,
          count: 5,
          bytes: 0,
          rate: 5,
          bytesRate: 0,
          left: 1,
        },
      },
    ],
  );
  assert.deepEqual(err, []);
});

test('bytes and times are printed for people', () => {
  assert.deepEqual([0, 1023, 1536, 5 * 2 ** 40].map(printBytes), [
    '0 bytes',
    '1023 bytes',
    '1.5 KiB',
    '5.0 TiB',
  ]);
  assert.deepEqual([0, 99, 100, 3600, 7200].map(printSeconds), [
    '0 s',
    '99 s',
    '2 min',
    '60 min',
    '2 h 0 min',
  ]);
});
