// Imports between folders go one way; docs/explanation/architecture.md gives the reasons.
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  findFileCycles,
  findFolderCycles,
  findViolations,
  type Rules,
  type Sources,
} from './support/architecture.ts';
import { readImports } from './support/imports.ts';

const rules: Rules = {
  folders: {
    oci: { from: [], packages: ['re2js'] },
    config: { from: ['oci'], packages: ['yaml', 'zod'] },
    storage: { from: ['oci'], packages: ['@aws-sdk/client-s3', '@aws-sdk/s3-request-presigner'] },
    db: { from: ['oci'], packages: ['kysely', 'pg'] },
    // Image layouts as directories and tar archives.
    archive: { from: ['oci'], packages: ['tar'] },
    core: { from: ['archive', 'db', 'storage', 'oci'], packages: ['lru-cache'] },
    access: { from: ['db', 'oci', 'outbound'], packages: ['@node-rs/bcrypt', 'jose', 'lru-cache'] },
    audit: { from: ['access', 'db', 'oci'], packages: [] },
    // Requests that Berth itself sends, to addresses that users give.
    outbound: { from: ['oci'], packages: [] },
    // Rules and changes that the command line and the management API share; their only texts are refusals.
    administration: {
      from: ['access', 'core', 'db', 'oci', 'outbound'],
      types: ['audit'],
      packages: ['jose'],
    },
    jobs: { from: ['core', 'db', 'storage', 'oci'], packages: [] },
    events: { from: ['core', 'db', 'storage', 'oci'], packages: [] },
    upstream: { from: ['core', 'db', 'storage', 'oci'], packages: [] },
    http: { from: ['oci', 'telemetry'], types: ['storage'], packages: ['fastify', 'pino', 'prom-client'] },
    // Handlers pass on the database handle and open blobs, and call nothing on them.
    v2: { from: ['core', 'access', 'audit', 'oci', 'http'], types: ['db', 'storage'], packages: ['fastify'] },
    // Tokens and sign-on for the API; they answer with the API's errors.
    auth: {
      from: ['core', 'access', 'administration', 'audit', 'oci', 'http', 'outbound'],
      types: ['db', 'node:http'],
      packages: ['fastify', 'openid-client', 'zod'],
    },
    api: {
      from: ['core', 'access', 'administration', 'oci', 'http'],
      types: ['db', 'storage'],
      packages: ['fastify', 'zod'],
    },
    // Measures a store, a database and jobs by wrapping them.
    telemetry: {
      from: [],
      types: ['access', 'audit', 'db', 'storage', 'jobs'],
      packages: ['fastify', 'pino', 'pino-pretty', 'prom-client'],
    },
  },
  unrestricted: [
    'main.ts',
    'worker.ts',
    'app.ts',
    'assemble',
    'greeting.ts',
    'open.ts',
    'failure.ts',
    'service.ts',
    'cli',
    'workers',
  ],
  sharedTypes: 'config',
  reserved: {
    'node:sqlite': ['db'],
    'node:fs': ['archive', 'storage', 'db', 'config', 'http', 'access'],
    'node:http': ['http', 'upstream', 'events'],
    'node:https': ['http', 'upstream', 'events'],
    'node:net': ['http', 'upstream', 'events', 'config'],
    'node:child_process': [],
  },
};

const root = fileURLToPath(new URL('..', import.meta.url));
const sources: Sources = new Map(
  globSync('src/**/*.ts', { cwd: root }).map((file) => [file, readFileSync(`${root}/${file}`, 'utf8')]),
);

test('every import in src/ is allowed', () => {
  assert.ok(sources.size > 0);
  assert.deepEqual(findViolations(sources, rules), []);
});

test('no files in src/ import each other in a cycle', () => {
  assert.deepEqual(findFileCycles(sources), []);
});

test('no folders in src/ import each other in a cycle, at any depth', () => {
  assert.deepEqual(findFolderCycles(sources, rules.unrestricted), []);
});

/** The files that load another one on demand, and why. All other imports are static. */
const onDemand: Record<string, string> = {
  'src/main.ts': 'the compile cache must be on, and an older Node must get as far as the clear message',
  'src/worker.ts': 'the compile cache must be on',
  'src/cli/program.ts': 'a command loads its own file only',
  'src/cli/serve.ts': 'with several workers, the process that starts them does not load the registry',
  'src/open.ts': 'the clients of PostgreSQL and S3 are loaded only if they are configured',
  'src/assemble/access.ts': 'the library of single sign-on is loaded only if it is configured',
};

test('loads files on demand only where there is a reason', () => {
  const found = [...sources]
    .filter(([file, source]) => !file.endsWith('.test.ts') && /\bimport\(/.test(source))
    .map(([file]) => file);
  assert.deepEqual(found.toSorted(), Object.keys(onDemand).toSorted());
});

test('parses every form of import', () => {
  const source = [
    "import { a } from './a.ts';",
    "import type { B } from './b.ts';",
    'import {',
    '  type C,',
    '  type D,',
    "} from './c.ts';",
    "import e, { type E } from './e.ts';",
    "import './f.ts';",
    "export * from './g.ts';",
    "const h = await import('./h.ts');",
    "// import './comment.ts' and import('./comment.ts')",
    "export const text = './text.ts';",
  ].join('\n');
  const read = readImports(source).map(({ specifier, line, typeOnly, reexport }) => {
    return `${line} ${specifier}${typeOnly ? ' type' : ''}${reexport ? ' reexport' : ''}`;
  });
  assert.deepEqual(read, [
    '1 ./a.ts',
    '2 ./b.ts type',
    '3 ./c.ts type',
    '7 ./e.ts',
    '8 ./f.ts',
    '9 ./g.ts reexport',
    '10 ./h.ts',
  ]);
});

const violations: [what: string, file: string, source: string, expected: RegExp | undefined][] = [
  [
    'upwards',
    'src/core/blobs.ts',
    "\nimport { x } from '../v2/x.ts';",
    /^src\/core\/blobs\.ts:2: imports '\.\.\/v2\/x\.ts', but core may/,
  ],
  [
    'an import that skips a layer',
    'src/v2/blobs.ts',
    "import { find } from '../db/blobs.ts';",
    /v2 may import from core/,
  ],
  [
    'an allowed type import',
    'src/v2/blobs.ts',
    "import type { Database } from '../db/database.ts';",
    undefined,
  ],
  [
    'settings as a type',
    'src/core/blobs.ts',
    "import type { Config } from '../config/schema.ts';",
    undefined,
  ],
  [
    'settings as a value',
    'src/core/blobs.ts',
    "import { load } from '../config/load.ts';",
    /core may import from archive, db/,
  ],
  [
    'a dynamic import',
    'src/oci/x.ts',
    "const f = () => import('../db/x.ts');",
    /oci may import from no folder/,
  ],
  ['a package', 'src/jobs/jobs.ts', "import fastify from 'fastify';", /jobs may use no package/],
  ["a package's inner file", 'src/db/x.ts', "import { Migrator } from 'kysely/migration';", undefined],
  [
    'a reserved module',
    'src/core/x.ts',
    "import { open } from 'node:fs/promises';",
    /only archive, storage, db, .* may use node:fs/,
  ],
  [
    'the response of node:http in a handler, even as a type',
    'src/v2/x.ts',
    "import type { ServerResponse } from 'node:http';",
    /only http, upstream, events may use node:http/,
  ],
  [
    'a type of a reserved module, where it is listed',
    'src/auth/x.ts',
    "import type { IncomingMessage } from 'node:http';",
    undefined,
  ],
  [
    'an unknown folder',
    'src/utils/x.ts',
    '',
    /"utils" is not a known folder .* test\/architecture\.test\.ts/,
  ],
  ['outside src', 'src/core/x.ts', "import { t } from '../../test/support/t.ts';", /core may import from/],
  ['without .ts', 'src/oci/x.ts', "import { y } from './y';", /'\.\/y': must end in \.ts/],
  ['a barrel', 'src/oci/index.ts', "export { y } from './y.ts';", /no barrels/],
  ['a default export', 'src/oci/x.ts', '\nexport default 1;', /^src\/oci\/x\.ts:2: no default exports/],
  ['anything, in a test', 'src/oci/x.test.ts', "import { y } from '../../test/support/y.ts';", undefined],
];

for (const [what, file, source, expected] of violations) {
  test(`${expected ? 'refused' : 'allowed'}: ${what}`, () => {
    const [first] = findViolations(new Map([[file, source]]), rules);
    if (expected) assert.match(first ?? 'nothing found', expected);
    else assert.equal(first, undefined);
  });
}

test('finds cycles of files, also of type imports, and names each file', () => {
  const ring = new Map([
    ['src/oci/a.ts', "import { b } from './b.ts';"],
    ['src/oci/b.ts', "import type { C } from './c.ts';"],
    ['src/oci/c.ts', "import { a } from './a.ts';"],
    ['src/oci/d.ts', "import { a } from './a.ts';"],
  ]);
  assert.deepEqual(findFileCycles(ring), ['src/oci/a.ts → src/oci/b.ts → src/oci/c.ts → src/oci/a.ts']);
});

test('finds cycles of folders at every depth, without a cycle of files', () => {
  const folders = new Map([
    ['src/access/login/a.ts', "import { b } from '../tokens/b.ts';"],
    ['src/access/tokens/c.ts', "import { d } from '../login/d.ts';"],
    ['src/access/e.ts', "import { a } from './login/a.ts';"],
    ['src/core/f.ts', "import { e } from '../access/e.ts';"],
    ['src/core/g.test.ts', "import { h } from '../v2/h.ts';"],
    ['src/v2/h.ts', "import { f } from '../core/f.ts';"],
  ]);
  assert.deepEqual(findFolderCycles(folders, []), [
    'src/access/login → src/access/tokens → src/access/login',
  ]);
});
