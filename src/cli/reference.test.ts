import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { berth } from '../../test/support/berth.ts';
import { wholeProgram } from './program.ts';
import { commandPage, leavesOf } from './reference.ts';

const root = await wholeProgram({ env: {}, out: () => {}, err: () => {} });

test('docs/reference/cli.md matches `berth reference`', async () => {
  const { out } = await berth('reference');
  assert.ok(out === commandPage(root));
  const page = readFileSync(new URL('../../docs/reference/cli.md', import.meta.url), 'utf8');
  assert.ok(page === out, 'run: node bin/berth.js reference > docs/reference/cli.md');
});

test('every command and flag has a description in sentences', () => {
  for (const { words, command } of leavesOf(root)) {
    for (const text of [command.description(), ...command.options.map(({ description }) => description)]) {
      assert.match(text, /^[A-Z\d].*\.$/s, `${words.join(' ')}: ${text}`);
    }
  }
});

test('every example is an existing command with existing flags', () => {
  const leaves = leavesOf(root).map(({ words, command }) => ({ words: words.join(' '), command }));
  const page = commandPage(root).replaceAll(/ \\\n\s*/g, ' ');
  const examples = [...page.matchAll(/^berth (?!.*\[).*?(?= {4}| [|<] |$)/gm)].map(([line]) => line);
  assert.ok(examples.length > 30, `${examples.length} examples`);
  for (const line of examples) {
    const leaf = leaves.find(({ words }) => `${line} `.startsWith(`${words} `));
    assert.ok(leaf, line);
    for (const [flag] of line.matchAll(/(?<= )--[\w-]+/g)) {
      assert.ok(
        leaf.command.options.some(({ long }) => long === flag),
        line,
      );
    }
  }
});
