import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FastifyBaseLogger } from 'fastify';
import { watchDescriptors } from './descriptors.ts';

test('logs once a minute while the process is at its limit of open files, and only then', (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  let now = 0;
  t.mock.method(performance, 'now', () => now);
  const lines: string[] = [];
  const logger = {
    error: (_: object, line: string) => void lines.push(line),
  } as unknown as FastifyBaseLogger;
  let full = false;
  const watch = watchDescriptors(logger, () => {
    if (full) throw Object.assign(new Error('too many open files'), { code: 'EMFILE' });
  });
  const pass = (seconds: number): number => {
    for (let second = 0; second < seconds; second++) {
      now += 1_000;
      t.mock.timers.tick(1_000);
    }
    return lines.length;
  };
  assert.equal(pass(10), 0);
  full = true;
  assert.equal(pass(59), 1);
  assert.equal(pass(10), 2);
  full = false;
  assert.equal(pass(100), 2);
  assert.match(lines[0] as string, /ulimit -n.*LimitNOFILE/);
  watch.close();
  full = true;
  assert.equal(pass(100), 2);
});
