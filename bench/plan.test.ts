import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Line } from './line.ts';
import { renderPlan } from './plan.ts';

const page =
  'before\n<!-- made by npm run bench: begin -->\nold\n<!-- made by npm run bench: end -->\nafter\n';
const machine = ['Date: today', 'Processor: one', 'Kernel: any'];

test('renders the tables of the page from measured lines and keeps the rest', () => {
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

test('shows unmeasured figures, and figures derived from them, as unmeasured', () => {
  const made = renderPlan(page, [], machine);
  assert.match(made, /\| CPU of Berth, a manifest by tag \| – \|/);
  assert.match(made, /\| the database \| – \|/);
  assert.match(made, /\| bytes \| 5\.00 TB \|/);
});

test('rendering the page again does not change it', () => {
  const made = renderPlan(page, [], machine);
  assert.equal(renderPlan(made, [], machine), made);
});

test('throws if the page has no marks for the tables', () => {
  assert.throws(() => renderPlan('no marks', [], machine), /has no/);
});
