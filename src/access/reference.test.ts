// docs/reference/access.md agrees with the code.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { Visibility } from '../db/schema.ts';
import { parseName } from '../oci/name.ts';
import { rightsOn } from './entitlements.ts';
import { asPattern, matches, type Pattern } from './pattern.ts';
import { allRights, asAction, type Right, rightsOfActions, rightsOfRole, roles } from './rights.ts';

const page = readFileSync(new URL('../../docs/reference/access.md', import.meta.url), 'utf8');

/** The cells of the table whose first heading is given, without headings and code marks. */
function tableOf(heading: string): string[][] {
  const lines = page.split('\n');
  const start = lines.findIndex((line) => line.startsWith(`| ${heading} |`));
  assert.ok(start >= 0, heading);
  const length = lines.slice(start).findIndex((line) => !line.startsWith('|'));
  return lines
    .slice(start, start + length)
    .map((line) => line.split('|').slice(1, -1))
    .map((cells) => cells.map((cell) => cell.trim().replaceAll('`', '')))
    .filter((_, i) => i !== 1);
}

test('the page lists every right, in order', () => {
  const listed = [...page.matchAll(/^- `(\w+)`: /gm)].map(([, right]) => right);
  assert.deepEqual(listed, [...allRights]);
});

test('the page gives each role its rights', () => {
  const [heading = [], ...rows] = tableOf('role');
  assert.deepEqual(heading, ['role', ...allRights]);
  const expected = roles.map((role) => [
    role,
    ...[...allRights].map((right) => (rightsOfRole(role).has(right) ? 'yes' : '')),
  ]);
  assert.deepEqual(rows, expected);
});

test('the page gives each action its rights', () => {
  const [, ...rows] = tableOf('action');
  for (const [action = '', rights] of rows) {
    const known = asAction(action);
    assert.ok(known, action);
    assert.equal(rights, [...rightsOfActions([known])].join(', '));
  }
  assert.deepEqual(
    rows.map(([action]) => action),
    ['pull', 'create', 'push', 'delete', '*'],
  );
});

test('the page gives each policy its rights', () => {
  const [, ...rows] = tableOf('`anonymous`');
  assert.deepEqual(
    rows.map(([policy]) => policy),
    ['none', 'public', 'pull', 'push'],
  );
  const told = (text: string | undefined, visibility: Visibility): Right[] => {
    const applies =
      text?.endsWith(' everything') || (text?.endsWith(' what is public') && visibility === 'public');
    return applies ? [...allRights].filter((right) => text?.match(/\w+/g)?.includes(right)) : [];
  };
  for (const [policy, ...columns] of rows) {
    for (const [i, text] of columns.entries()) {
      for (const visibility of ['public', 'private'] as const) {
        const who = { anonymous: i === 0, administrator: false, grants: [], scopes: undefined };
        const rights = rightsOn(who, parseName('acme/app'), visibility, policy as 'none');
        assert.deepEqual([...rights], told(text, visibility), `${policy}: ${text}, ${visibility}`);
      }
    }
  }
});

test("the page's examples of patterns are right", () => {
  const section = page.slice(page.indexOf('## Patterns'), page.indexOf('## Scopes')).replaceAll(/\s+/g, ' ');
  const said = section.matchAll(
    /`([^`]+)` matches ((?:`[^`]+`(?: and (?!not))?)+)(?:,? and not `([^`]+)`)?/g,
  );
  let count = 0;
  for (const [, pattern = '', names = '', other] of said) {
    if (asPattern(pattern) === undefined || !names.includes('/')) continue;
    count += 1;
    for (const [, name = ''] of names.matchAll(/`([^`]+)`/g)) {
      assert.ok(matches(pattern as Pattern, parseName(name)), `${pattern} matches ${name}`);
    }
    if (other !== undefined)
      assert.ok(!matches(pattern as Pattern, parseName(other)), `${pattern} does not match ${other}`);
  }
  assert.equal(count, 3);
});
