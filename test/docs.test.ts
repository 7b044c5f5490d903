import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import manifest from '../package.json' with { type: 'json' };
import { wholeProgram } from '../src/cli/program.ts';
import { leavesOf } from '../src/cli/reference.ts';
import { parseRetentionPolicy } from '../src/config/retention-policy.ts';
import { configSchema } from '../src/config/schema.ts';
import { settingsOf } from '../src/config/settings.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
/** Files outside the repository, as in .gitignore. A downloaded archive has no git to read them from. */
const ignored = /^(?:\.git|node_modules|data|bench\/out|reports|\.stryker-tmp|.*\.log|.*\.DS_Store)$/;
const tracked = filesBelow('');

function filesBelow(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (ignored.test(path)) return [];
    return entry.isDirectory() ? filesBelow(path) : [path];
  });
}

const read = (file: string): string => readFileSync(join(root, file), 'utf8');
const pages = tracked.filter((file) => file.endsWith('.md'));

interface Fence {
  readonly page: string;
  readonly language: string;
  readonly text: string;
}

const fences = pages.flatMap((page) =>
  [...read(page).matchAll(/^```(\w*)\n(.*?)^```$/gms)].map(
    ([, language = '', text = '']): Fence => ({ page, language, text }),
  ),
);

/** The commands of the pages: the lines of shell blocks, with continued ones joined, and npm commands in sentences. */
const commands = [
  ...fences
    .filter(({ language }) => language === 'sh')
    .flatMap(({ page, text }) =>
      text
        .replaceAll(/\\\n\s*/g, '')
        .split(/\n|&&/)
        .map((line) => ({ page, line: line.trim() })),
    ),
  ...pages.flatMap((page) =>
    [...read(page).matchAll(/(?<!`)`(npm [^`]+)`(?!`)/g)].map(([, text = '']) => ({
      page,
      line: text.replaceAll('\n', ' '),
    })),
  ),
];

describe('links between pages', () => {
  for (const page of pages) {
    test(page, () => {
      const text = read(page).replace(/^```.*?^```$/gms, '');
      for (const [, target = ''] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
        if (/^[a-z]+:/.test(target)) continue;
        const [path = '', anchor] = target.split('#');
        const file = path === '' ? page : join(dirname(page), path);
        assert.ok(existsSync(join(root, file)), `${target} does not exist`);
        if (anchor !== undefined) assert.ok(anchorsOf(file).has(anchor), `${target}: no such heading`);
      }
    });
  }
});

/** The anchors that GitHub generates: lowercase, without punctuation, dashes for spaces. */
function anchorsOf(file: string): Set<string> {
  const headings = [...read(file).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => heading);
  return new Set(
    headings.map((heading) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s_-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );
}

describe('commands in the pages', async () => {
  const context = { env: {}, out: () => {}, err: () => {} };
  const leaves = leavesOf(await wholeProgram(context)).map(({ words, command }) => ({
    words: words.slice(1).join(' '),
    flags: new Set(command.options.map(({ long }) => long)),
  }));

  test('README has the commands for start and test', () => {
    for (const command of ['npm install && npm start', 'npm install && npm test']) {
      assert.ok(fences.some(({ page, text }) => page === 'README.md' && text.trim() === command));
    }
  });

  for (const { page, line } of commands) {
    const npm = /^npm (?:run )?([\w:-]+)/.exec(line);
    if (npm) {
      test(`${page}: ${line}`, () => {
        const known = ['install', 'ci', ...Object.keys(manifest.scripts)];
        assert.ok(known.includes(npm[1] as string), `package.json has no script ${npm[1]}`);
      });
    }
    const berth =
      /^npm start -- (?<serve>.*)|(?:^|\| |-- |\bsudo -u berth |exec (?:--\S+ )*berth )berth (?<any>.*)/.exec(
        line,
      )?.groups;
    if (berth) {
      test(`${page}: ${line} has flags that exist`, async () => {
        const given = berth.serve === undefined ? (berth.any as string) : `serve ${berth.serve}`;
        const find = (line: string) => leaves.find(({ words }) => `${line} `.startsWith(`${words} `));
        // A group without a named command may mean its `list`.
        const command = find(given) ?? find(given.replace(/^\w+/, '$& list'));
        assert.ok(command, 'no such command');
        for (const [flag] of given.matchAll(/(?<= )--[\w-]+/g)) {
          assert.ok(flag === '--help' || command.flags.has(flag), `${command.words} has no ${flag}`);
        }
      });
    }
  }

  test('at least six are found', () => {
    assert.ok(commands.filter(({ line }) => /npm start|^berth /.test(line)).length >= 6);
  });
});

describe('settings in the pages', () => {
  const { settings } = settingsOf(configSchema);
  const variables = new Set(['BERTH_CONFIG', ...settings.flatMap(({ env, envFile }) => [env, envFile])]);

  test('every variable exists', () => {
    for (const file of [...pages, ...tracked.filter((file) => file.startsWith('.github/'))]) {
      for (const [name] of read(file).matchAll(/\bBERTH_[A-Z0-9_]*[A-Z0-9]\b/g)) {
        assert.ok(variables.has(name), `${file}: ${name}`);
      }
    }
  });

  for (const { page, text } of fences.filter(({ language }) => language === 'yaml')) {
    if (parse(text) === null) continue;
    test(`${page}: this file is valid: ${text.split('\n', 1)[0]} …`, () => {
      const content = parse(text);
      if ('rules' in content) assert.ok('policy' in parseRetentionPolicy(page, text));
      else configSchema.parse(content);
    });
  }
});

test('no file contains private folders or hosts', () => {
  const folder = /(?<![\w.~)-])\/(?:root|home|Users|work)\/[\w.-]/;
  const host = /\b[\w-]+\.(?:internal|intranet|corp|lan)\b(?!\()/;
  for (const file of tracked) {
    if (file === 'LICENSE' || file === 'package-lock.json') continue;
    assert.doesNotMatch(read(file), folder, file);
    if (file.endsWith('.md') || file.startsWith('.github/')) assert.doesNotMatch(read(file), host, file);
  }
});

test('no command runs a program from the public npm registry by name', () => {
  // Outside a checkout, such a command downloads any package of that name and passes it the standard input.
  const asking = /\bnp[x]\b|\bnpm (?:exec|x)\b/;
  for (const file of tracked) {
    if (!/^(?:LICENSE|package-lock\.json)$/.test(file)) assert.doesNotMatch(read(file), asking, file);
  }
});
