import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { AuditEntry } from '../db/audit-events.ts';
import { auditActions } from './actions.ts';

const page = readFileSync(new URL('../../docs/reference/audit-events.md', import.meta.url), 'utf8');

const rows = page
  .split('\n')
  .filter((line) => /^\| `[a-z.-]+` +\|/.test(line))
  .map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );

test('docs/reference/audit-events.md lists every action once, in order, with its meaning', () => {
  assert.deepEqual(
    rows.map(([action, meaning]) => [action, meaning]),
    Object.entries(auditActions).map(([action, meaning]) => [`\`${action}\``, meaning]),
  );
});

test('docs/reference/audit-events.md describes every field', () => {
  const fields: Record<
    Exclude<keyof AuditEntry, 'source' | 'actor_name' | 'request_id' | 'old_digest'>,
    true
  > = {
    id: true,
    at: true,
    action: true,
    allowed: true,
    actor: true,
    credential: true,
    address: true,
    client: true,
    repository: true,
    tag: true,
    digest: true,
    status: true,
    error: true,
    detail: true,
  };
  for (const field of [...Object.keys(fields), 'actorName', 'requestId', 'oldDigest']) {
    assert.match(page, new RegExp(`^- \`${field}\`: `, 'm'));
  }
});
