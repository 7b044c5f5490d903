import assert from 'node:assert/strict';
import { test } from 'node:test';
import { table } from './table.ts';

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
