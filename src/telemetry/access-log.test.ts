import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { anyText } from '../../test/support/any-text.ts';
import { noGauges } from '../../test/support/no-gauges.ts';
import { shownIdentity } from '../access/identity.ts';
import type { Config } from '../config/schema.ts';
import { RegistryError } from '../oci/errors.ts';
import { type Answered, observeRequests } from './access-log.ts';
import { createLogger } from './log.ts';
import { createMetrics } from './metrics.ts';

const pull: Answered = {
  request: {
    id: 'id-1',
    method: 'GET',
    url: '/v2/library/app/manifests/latest',
    headers: { 'user-agent': 'docker/29', authorization: 'Basic c2VjcmV0' },
    client: { address: '192.0.2.1' },
  },
  route: { action: 'getManifest', name: 'library/app' },
  identity: { principal: { kind: 'user', id: 7, name: 'alice' }, credential: { kind: 'token', id: 12 } },
  status: 200,
  sent: 1234,
  received: 0,
  duration: 1.23456,
  error: undefined,
};

type Line = Record<string, unknown>;

const json: Config['log'] = { level: 'info', format: 'json', access: true };

/**
 * The log lines and metrics of a request. With `fast`, the stream has a `minLength` like pino's own file stream, and Berth formats the
 * access line; otherwise pino does.
 */
function observe(answered: Answered, log = json, fast = true, bindings = {}) {
  const written: string[] = [];
  const stream = { write: (line: string) => written.push(line), ...(fast && { minLength: 0 }) };
  const metrics = createMetrics(noGauges);
  const logger = createLogger(log, stream).child(bindings);
  observeRequests({ logger, metrics, log, shown: shownIdentity })(answered);
  const text = written.join('');
  const lines = () =>
    text
      .trimEnd()
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Line);
  return { metrics, text, lines };
}

for (const fast of [true, false]) {
  const way = fast ? 'formatted by Berth' : 'formatted by pino';

  test(`a line ${way} has the number of the worker`, () => {
    const [line] = observe(pull, json, fast, { worker: 2 }).lines();
    assert.equal(line?.worker, 2);
  });

  test(`a line ${way} has the user, action, repository, sizes, duration and status`, () => {
    const [line, ...more] = observe(pull, json, fast).lines();
    const { time, ...fields } = line as Line;
    assert.match(String(time), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    assert.deepEqual(more, []);
    assert.deepEqual(fields, {
      level: 'info',
      requestId: 'id-1',
      method: 'GET',
      url: '/v2/library/app/manifests/latest',
      action: 'getManifest',
      repository: 'library/app',
      user: 'alice',
      credential: 'token:12',
      status: 200,
      received: 0,
      sent: 1234,
      milliseconds: 1.235,
      remote: '192.0.2.1',
      userAgent: 'docker/29',
    });
  });

  test(`a line ${way} omits unknown fields`, () => {
    const request = { id: 'id-1', method: 'GET', url: '/v2/nothing', headers: {}, client: { address: '' } };
    const error = new RegistryError('NAME_UNKNOWN');
    const [line] = observe(
      {
        ...pull,
        route: undefined,
        identity: undefined,
        status: 404,
        error,
        request,
      },
      json,
      fast,
    ).lines();
    assert.deepEqual(Object.keys(line as Line), [
      ...[
        'level',
        'time',
        'requestId',
        'method',
        'url',
        'status',
        'received',
        'sent',
        'milliseconds',
        'error',
      ],
    ]);
  });

  test(`a line ${way} escapes the client's text and contains no credentials`, () => {
    const hostile = anyText();
    fc.assert(
      fc.property(hostile, hostile, (url, userAgent) => {
        const headers = { authorization: 'Basic c2VjcmV0', 'user-agent': userAgent };
        const request = { ...pull.request, url, headers };
        const { text, lines } = observe({ ...pull, request }, json, fast);
        const [line] = lines() as [Line];
        assert.equal(text.indexOf('\n'), text.length - 1, 'one line');
        assert.deepEqual([line.url, line.userAgent, line.level], [url, userAgent, 'info']);
        assert.ok(!text.includes('c2VjcmV0') && !text.includes('\u001b'));
      }),
    );
  });
}

for (const format of ['json', 'pretty'] as const) {
  for (const fast of [true, false]) {
    test(`a ${format} line formatted by ${fast ? 'Berth' : 'pino'} hides a credential in the URL`, () => {
      const request = { ...pull.request, url: '/v2/nothing?access_token=canary' };
      const answered = { ...pull, route: undefined, request };
      const { text } = observe(answered, { ...json, format }, fast);
      assert.match(text, /access_token=\(hidden\)/);
      assert.doesNotMatch(text, /canary/);
    });
  }
}

test('a client error is logged as a code in the access line only', () => {
  const error = new RegistryError('MANIFEST_UNKNOWN', { name: 'library/app' });
  const lines = observe({ ...pull, status: 404, error }).lines();
  assert.deepEqual(
    lines.map((line) => [line.level, line.error]),
    [['info', 'MANIFEST_UNKNOWN']],
  );
});

test('a server error is logged with its cause and request id, even when access lines are off', () => {
  const error = new RegistryError('UNAVAILABLE', undefined, { cause: new Error('disk on fire') });
  for (const access of [true, false]) {
    const lines = observe({ ...pull, status: 503, error }, { ...json, access }).lines();
    assert.equal(lines.length, access ? 2 : 1);
    const [first] = lines as [Line & { err: { message: string; stack: string } }];
    assert.deepEqual([first.level, first.requestId, first.err.message], ['error', 'id-1', 'disk on fire']);
    assert.match(first.err.stack, /access-log\.test/);
  }
});

test('overload is a one-line warning without a stack', () => {
  const error = new RegistryError('UNAVAILABLE', 'too many connections are open');
  const [line, ...more] = observe({ ...pull, status: 503, error }, { ...json, access: false }).lines();
  assert.deepEqual(
    [more, line?.level, line?.requestId, line?.msg, line?.err],
    [[], 'warn', 'id-1', 'service temporarily unavailable: too many connections are open', undefined],
  );
});

for (const [what, answered, level] of [
  ['successful health checks', { isProbe: true }, 'debug'],
  ['failed health checks', { isProbe: true, status: 503 }, 'info'],
  ['other requests', {}, 'info'],
] as const) {
  for (const fast of [true, false]) {
    const way = fast ? 'formatted by Berth' : 'formatted by pino';
    test(`a line ${way} for ${what} has level ${level}`, () => {
      const one = { ...pull, ...answered };
      assert.equal(observe(one, { ...json, level: 'debug' }, fast).lines()[0]?.level, level);
      assert.equal(observe(one, json, fast).lines().length, level === 'info' ? 1 : 0);
    });
  }
}

test('a user name cannot break a line or control a terminal', () => {
  const name = 'x"\n\u001b[2J';
  const identity = { principal: { kind: 'holder', name }, credential: { kind: 'foreign' } } as const;
  for (const fast of [true, false]) {
    const [line, ...more] = observe({ ...pull, identity }, json, fast).lines();
    assert.deepEqual([more, line?.user, line?.credential], [[], name, 'foreign']);
  }
  const { text } = observe({ ...pull, identity }, { ...json, format: 'pretty' }, false);
  assert.match(text, /by x"\ufffd\ufffd\[2J \(foreign\): 200/);
});

for (const quiet of [
  { ...json, access: false },
  { ...json, level: 'warn' },
] as const) {
  test(`counts a request even when it writes no access line (${JSON.stringify(quiet)})`, async () => {
    const { text, metrics } = observe(pull, quiet);
    assert.equal(text, '');
    const counted = await metrics.registry.metrics();
    assert.match(counted, /duration_seconds_count\{route="getManifest",method="GET",status="200"\} 1/);
  });
}

test('docs/reference/access-log.md lists every field of a line, in order', () => {
  const page = readFileSync(new URL('../../docs/reference/access-log.md', import.meta.url), 'utf8');
  const documented = [...page.matchAll(/^\| `(\w+)` /gm)].map(([, field]) => field);
  const error = new RegistryError('NAME_UNKNOWN');
  const [line] = observe({ ...pull, error }).lines();
  assert.deepEqual(documented, [...Object.keys(line as Line), 'worker']);
  const example = JSON.parse(/```json\n(.*)\n/.exec(page)?.[1] as string) as Line;
  const [whole] = observe(pull).lines();
  assert.deepEqual(Object.keys(example), Object.keys(whole as Line));
});

test('does not count probes', async () => {
  const { metrics } = observe({ ...pull, isProbe: true });
  assert.doesNotMatch(await metrics.registry.metrics(), /duration_seconds_count\{/);
});

test('a pretty line is a sentence', () => {
  const { text } = observe(pull, { ...json, format: 'pretty' }, false);
  assert.match(
    text,
    /GET getManifest library\/app by alice \(token:12\): 200, 0 bytes in, 1234 out, 1\.2 ms \{"requestId":"id-1"\}/,
  );
});

test('counts an unknown URL as route="unknown", without the text of the client', async () => {
  const request = { ...pull.request, url: '/v2/attacker-chosen' };
  const { metrics } = observe({
    ...pull,
    route: undefined,
    status: 404,
    request,
  });
  const text = await metrics.registry.metrics();
  assert.match(text, /route="unknown"/);
  assert.doesNotMatch(text, /attacker/);
});
