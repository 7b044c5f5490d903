import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { requestId } from './request-id.ts';

test('ids are unique and need no escaping in a header or a log', () => {
  const ids = Array.from({ length: 10_000 }, requestId);
  assert.equal(new Set(ids).size, ids.length);
  for (const id of ids) assert.match(id, /^[\w-]{10,24}$/);
});

test('another process creates other ids', () => {
  const module = new URL('./request-id.ts', import.meta.url).href;
  const script = `import { requestId } from ${JSON.stringify(module)}; console.log(requestId());`;
  const other = execFileSync(process.execPath, ['--input-type=module', '--eval', script], {
    encoding: 'utf8',
  });
  assert.notEqual(other.split('-')[0], requestId().split('-')[0]);
});
