import assert from 'node:assert/strict';
import { test } from 'node:test';
import { showTime, table } from './table.ts';

test('columns are as wide as their widest cell, and no line ends in blanks', () => {
  const rows = [
    ['alice', '', 'yes'],
    ['bo', 'bo@example.com', ''],
  ];
  assert.equal(
    table(['NAME', 'MAIL', 'ADMIN'], rows),
    'NAME   MAIL            ADMIN\nalice                  yes\nbo     bo@example.com\n',
  );
});

test('a letter has width one, with combining marks too', () => {
  assert.equal(table(['A', 'B'], [['e\u0301', 'x']]), 'A  B\ne\u0301  x\n');
  assert.equal(table(['A', 'B'], [['\u{10348}', 'x']]), 'A  B\n\u{10348}  x\n');
});

test('a table without rows has only its headings', () => {
  assert.equal(table(['NAME', 'MAIL'], []), 'NAME  MAIL\n');
});

test('a time is shown in UTC, to the second', () => {
  assert.equal(showTime(Date.UTC(2026, 0, 2, 3, 4, 5, 678)), '2026-01-02T03:04:05Z');
});
