// Runs every scenario over a bucket with its first call to S3 failing, then its second, and so on.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, type TestContext, test } from 'node:test';
import { failKth, type S3Fault } from '../support/s3-proxy.ts';
import { faultOf, repeat, send } from './client.ts';
import { digestOf } from './consistency.ts';
import { s3Registry } from './s3-registry.ts';
import { type MakeScenario, type Scenario, scenarios } from './scenarios.ts';

const maxCalls = 60;

/** Two segments that S3 copies as parts, and one so short that it can only be the last part. */
const largePush: MakeScenario = (name) => {
  const bytes = randomBytes((10 << 20) + 7);
  const digest = digestOf(bytes);
  const cuts = [0, 5 << 20, 10 << 20, bytes.length];
  return {
    async run(send) {
      const { headers } = await send({ method: 'POST', url: `/v2/${name}/blobs/uploads/`, ok: 202 });
      const url = headers.get('location') as string;
      for (const [index, from] of cuts.slice(0, -1).entries()) {
        const to = cuts[index + 1] as number;
        await send({
          method: 'PATCH',
          url,
          headers: { 'content-range': `${from}-${to - 1}` },
          body: bytes.subarray(from, to),
          ok: 202,
          again: ['BLOB_UPLOAD_UNKNOWN', 'RANGE_INVALID'],
        });
      }
      await send({ method: 'PUT', url: `${url}?digest=${digest}`, ok: 201, again: ['BLOB_UPLOAD_UNKNOWN'] });
    },
    async verify(send) {
      const check = ({ body }: { body: Buffer }): void =>
        assert.ok(body.equals(bytes), 'the blob has other bytes');
      await send({ method: 'GET', url: `/v2/${name}/blobs/${digest}`, ok: 200, check });
    },
  };
};

/** The scenario with every fault. A 503 fails the calls of this one only, because Berth treats it like a 500 (`storeError`). */
const first = 'push: POST, PUT with the body';

const checked: Record<string, MakeScenario> = {
  [first]: scenarios['push: POST, PUT with the body'],
  'push: POST, PATCHes in order, PUT with the last chunk':
    scenarios['push: POST, PATCHes in order, PUT with the last chunk'],
  'push: large PATCHes': largePush,
  pull: scenarios.pull,
  mount: scenarios.mount,
  'delete: a tag, a manifest, a blob': scenarios['delete: a tag, a manifest, a blob'],
  'cancel an upload': scenarios['cancel an upload'],
};

const faults: readonly S3Fault[] = [
  'slow down',
  'internal error',
  'reset',
  'lost answer',
  'silence',
  'error in 200',
  'cut body',
];

/** For slow scenarios: faults after which it is unknown whether S3 did the work. */
const ambiguous: readonly S3Fault[] = ['lost answer', 'error in 200'];

function faultsOf(name: string): readonly S3Fault[] {
  if (name === 'push: large PATCHes') return ambiguous;
  return name === first ? faults : faults.filter((fault) => fault !== 'slow down');
}

// Tests of silent services wait most of the time, so several run at once.
describe('a silent service', { concurrency: 4 }, () => defineTests(['silence']));
defineTests(faults.filter((fault) => fault !== 'silence'));

function defineTests(of: readonly S3Fault[]): void {
  for (const [name, make] of Object.entries(checked)) {
    for (const fault of faultsOf(name)) {
      if (of.includes(fault)) test(`${name}: each call ends in '${fault}'`, (t) => failEach(t, fault, make));
    }
  }
}

async function failEach(t: TestContext, fault: S3Fault, make: MakeScenario): Promise<void> {
  const registry = await s3Registry(t);
  if (registry === undefined) return;
  const { url, proxy } = registry;
  const run = async (scenario: Scenario): Promise<void> => {
    await scenario.run((step) => send(url, step));
    await scenario.verify((step) => send(url, step));
  };
  let failures = 0;
  for (let at = 1, hit: string | undefined = 'first'; hit !== undefined; at += 1) {
    assert.ok(at < maxCalls);
    const scenario = make(`r${at}`);
    await scenario.prepare?.((step) => send(url, step));
    const failing = failKth(at, fault);
    proxy.rule = failing.rule;
    const failed = await faultOf(() => scenario.run((step) => send(url, step)));
    proxy.rule = () => undefined;
    hit = failing.hit();
    if (failed) {
      assert.ok(hit, `the server failed without an injected fault: ${failed.message}`);
      failures += 1;
      await repeat(url, failed.step);
      await scenario.prepare?.((step) => send(url, step));
      await run(scenario);
    } else {
      await scenario.verify((step) => send(url, step));
    }
  }
  await registry.check(`after '${fault}'`);
  t.diagnostic(`${failures} scenarios ended in a server fault`);
}
