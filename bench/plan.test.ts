import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Line } from './line.ts';
import { renderPlan } from './plan.ts';

const page =
  'before\n<!-- made by npm run bench: begin -->\nold\n<!-- made by npm run bench: end -->\nafter\n';
const machine = ['Date: today', 'Processor: one', 'Kernel: any'];

test('the tables of the page are made of measured lines, and the rest of it stays', () => {
  const manifest: Line = {
    title: 'GET manifest by tag, CPU of Berth',
    unit: 's/1000 requests',
    better: 'lower',
    samples: { '1 replica': [0.1, 0.3], '4 replicas': [9] },
  };
  const blob: Line = {
    ...manifest,
    title: 'GET blob, redirected, CPU of Berth',
    samples: { '1 replica': [0.5] },
  };
  const made = renderPlan(page, [manifest, blob], machine);
  assert.match(made, /^before\n.*\nafter\n$/s);
  assert.doesNotMatch(made, /\nold\n/);
  assert.match(made, /\| CPU of Berth, a manifest by tag \| 0\.200 ms \|/);
  // Ten thousand nodes, three manifests of 0.2 ms and ten blobs of 0.5 ms each.
  assert.match(made, /\| CPU of Berth, redirected \| 56\.0 s \|/);
});

test('what was not measured is shown as such, and what follows from it too', () => {
  const made = renderPlan(page, [], machine);
  assert.match(made, /\| CPU of Berth, a manifest by tag \| – \|/);
  assert.match(made, /\| the database \| – \|/);
  assert.match(made, /\| bytes \| 5\.00 TB \|/);
});

test('made again, the page is the same', () => {
  const made = renderPlan(page, [], machine);
  assert.equal(renderPlan(made, [], machine), made);
});

test('a page without a place for the tables is refused', () => {
  assert.throws(() => renderPlan('no marks', [], machine), /has no/);
});
