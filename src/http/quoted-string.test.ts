import assert from 'node:assert/strict';
import { test } from 'node:test';
import { quotedString } from './quoted-string.ts';

test('quotes a text, escapes quotes and backslashes, and drops what a header cannot have', () => {
  assert.equal(quotedString('plain text'), '"plain text"');
  assert.equal(quotedString('a "b" \\ c'), '"a \\"b\\" \\\\ c"');
  assert.equal(quotedString('line\r\nbreak, ümlaut\0'), '"linebreak, mlaut"');
});
