import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Line, ratio, targetMet } from './line.ts';

const rate: Line = {
  title: 'a rate',
  unit: 'requests/s',
  better: 'higher',
  samples: { berth: [300, 100, 200], 'docker-registry': [10, 10, 10], nginx: [210] },
};

test('a ratio gives how many times as good Berth is, whether more or less is better', () => {
  assert.equal(ratio(rate, [10]), 20);
  assert.equal(ratio({ ...rate, better: 'lower' }, [400]), 2);
});

test('a ratio to an unmeasured column is undefined', () => {
  assert.equal(ratio(rate, undefined), undefined);
});

test('a target ratio above 1 has no tolerance', () => {
  const target = { kind: 'ratio', to: 'docker-registry' } as const;
  assert.equal(targetMet({ ...rate, target: { ...target, atLeast: 20 } }), true);
  assert.equal(targetMet({ ...rate, target: { ...target, atLeast: 20.1 } }), false);
});

test('a target of equality tolerates noise and no more', () => {
  const target = { kind: 'ratio', to: 'nginx', atLeast: 1 } as const;
  assert.equal(targetMet({ ...rate, target }), true);
  assert.equal(targetMet({ ...rate, target, samples: { ...rate.samples, nginx: [230] } }), false);
});

test('a target of kind "same" compares with the samples of another line', () => {
  const line: Line = { ...rate, better: 'lower', samples: { berth: [1] } };
  assert.equal(targetMet({ ...line, target: { kind: 'same', as: 'few', samples: [0.95] } }), true);
  assert.equal(targetMet({ ...line, target: { kind: 'same', as: 'few', samples: [0.5] } }), false);
});

test('a limit is met below it, and not at it', () => {
  assert.equal(targetMet({ ...rate, target: { kind: 'limit', under: 200 } }), false);
  assert.equal(targetMet({ ...rate, target: { kind: 'limit', under: 201 } }), true);
});

test('without a target or without Berth there is no verdict', () => {
  assert.equal(targetMet(rate), undefined);
  assert.equal(targetMet({ ...rate, samples: {}, target: { kind: 'limit', under: 1 } }), undefined);
});
