import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { berthReading } from '../../test/support/berth.ts';
import { startIssuer } from '../../test/support/issuer.ts';
import { temporaryDirectory } from '../../test/support/temporary-directory.ts';
import { insertAccount } from '../db/accounts.ts';
import { openSqlite } from '../db/sqlite/sqlite.ts';
import { asNamespace, type Namespace } from '../oci/name.ts';

/** A data directory with the organisation acme, and `berth trust …` on it. */
async function setUp(t: TestContext) {
  const data = await temporaryDirectory(t);
  const database = await openSqlite(join(data, 'berth.db'));
  const account = { name: asNamespace('acme') as Namespace, kind: 'organisation' } as const;
  await database.transaction((db) => insertAccount(db, account, 1));
  await database.close();
  const trust = async (args: readonly string[], input = '') => {
    const { exitCode: code, out, err } = await berthReading([input], 'trust', ...args, '--data', data);
    return { code, out, err };
  };
  return { data, trust };
}

const rules = ['--claim', 'repository=acme/app', '--claim', 'ref=refs/heads/*'];
const scope = ['--scope', 'repository:acme/app:pull,push', '--scope', 'repository:acme/cache-*:*'];

test('a trust is created, shown, changed, listed and deleted', async (t) => {
  const { trust } = await setUp(t);
  const issuer = 'https://issuer.example';
  const made = await trust([
    'create',
    'acme',
    'ci',
    '--issuer',
    issuer,
    '--audience',
    'me',
    ...rules,
    ...scope,
  ]);
  assert.equal(made.err, '');
  assert.equal(
    made.out,
    [
      'trust     acme/ci',
      'issuer    https://issuer.example',
      "keys      the issuer's own",
      'audience  me',
      'claim     repository=acme/app',
      'claim     ref=refs/heads/*',
      'scope     repository:acme/app:pull,push',
      'scope     repository:acme/cache-*:*',
      'lifetime  1h',
      '',
    ].join('\n'),
  );
  assert.equal((await trust(['show', 'acme', 'ci'])).out, made.out);
  const changed = await trust(['set', 'acme', 'ci', '--claim', 'sub=builder', '--lifetime', '30m']);
  assert.match(changed.out, /^claim {5}sub=builder\nscope .*\nscope .*\nlifetime {2}30m$/m);
  const [listed] = JSON.parse((await trust(['list', 'acme', '--json'])).out) as Record<string, unknown>[];
  assert.deepEqual(listed?.claims, { sub: 'builder' });
  assert.deepEqual(listed?.scopes, ['repository:acme/app:pull,push', 'repository:acme/cache-*:*']);
  assert.equal((await trust(['delete', 'acme', 'ci'])).out, 'trust acme/ci deleted\n');
  const gone = await trust(['show', 'acme', 'ci']);
  assert.deepEqual([gone.code, gone.err], [1, 'berth: acme has no trust ci\n']);
});

test('--i-know-this-issuer-is-mine allows broad claims, and list warns of trusts open to strangers', async (t) => {
  const { data, trust } = await setUp(t);
  const issuer = ['--issuer', 'https://ci.acme.com', '--audience', 'me'];
  const create = ['create', 'acme', 'ci', ...issuer, ...rules, ...scope];
  const refused = await trust(create);
  assert.equal(refused.code, 1);
  assert.match(
    refused.err,
    /anyone may be able to run jobs at https:\/\/ci.acme.com.*--i-know-this-issuer-is-mine/,
  );
  assert.equal((await trust([...create, '--i-know-this-issuer-is-mine'])).err, '');
  assert.equal((await trust(['list'])).err, '');

  const database = await openSqlite(join(data, 'berth.db'));
  const github = 'https://token.actions.githubusercontent.com';
  const wide = { issuer: github, claims: '{"ref":"refs/heads/main"}' };
  await database.transaction((db) => db.updateTable('trusts').set(wide).execute());
  await database.close();
  const reason =
    /accepts no token: jobs of any tenant of GitHub Actions would be accepted: .*--claim repository=acme\/app/;
  const listed = await trust(['list', '--json']);
  assert.match(listed.err, new RegExp(`^berth: trust acme/ci ${reason.source}`));
  assert.match(
    (JSON.parse(listed.out) as { refused: string }[])[0]?.refused ?? '',
    /^jobs of any tenant of GitHub/,
  );
  assert.match((await trust(['show', 'acme', 'ci'])).out, new RegExp(`^refused {3}${reason.source}`, 'm'));
});

test("the audience defaults to externalUrl's host, or is required", async (t) => {
  const { trust } = await setUp(t);
  const create = ['create', 'acme', 'ci', '--issuer', 'https://issuer.example', ...rules, ...scope];
  const refused = await trust(create);
  assert.equal(refused.code, 2);
  assert.match(refused.err, /--audience registry.example.com.*externalUrl/);
  assert.match(
    (await trust([...create, '--external-url', 'https://r.example:8443'])).out,
    /^audience {2}r.example:8443$/m,
  );
});

const mistakes: [args: string[], code: number, said: RegExp][] = [
  [['create', 'acme', 'ci', '--audience', 'me', ...rules, ...scope], 2, /^error: .*--issuer <url>/],
  [['create', 'acme', 'ci', '--claim', 'repository'], 2, /^error: .*'repository'.* NAME=PATTERN/],
  [['create', 'acme', 'ci', '--claim', 'a=1', '--claim', 'a=2'], 2, /^error: .* given twice/],
  [['create', 'acme', 'ci', '--lifetime', '30'], 2, /^error: .*'30'.* a duration with a unit/],
  [
    ['create', 'acme', 'ci', '--issuer', 'https://a.example', '--audience', 'me', '--keys', '/nowhere'],
    1,
    /^berth: .*\/nowhere/,
  ],
  [['set', 'acme', 'ci'], 2, /^error: nothing to change/],
  [['list', 'nobody'], 1, /^berth: there is no organisation nobody/],
];
for (const [args, code, said] of mistakes) {
  test(`trust ${args.join(' ')} exits with ${code} and the reason`, async (t) => {
    const { trust } = await setUp(t);
    const refused = await trust(args);
    assert.deepEqual([refused.code, refused.out], [code, '']);
    assert.match(refused.err, said);
  });
}

test('tests a token from standard input, and prints the problems without the token', async (t) => {
  const { trust, data } = await setUp(t);
  const issuer = await startIssuer(t);
  const keys = join(data, 'keys.json');
  await writeFile(keys, JSON.stringify({ keys: issuer.keys.map(({ jwk }) => jwk) }));
  const terms = ['--issuer', issuer.url, '--audience', 'registry.example', ...scope];
  await trust(['create', 'acme', 'ci', ...terms, ...rules]);
  await trust(['create', 'acme', 'release', ...terms, '--claim', 'ref=refs/tags/*', '--keys', keys]);
  const token = await issuer.sign({ repository: 'acme/app', ref: 'refs/heads/main' });

  const tried = await trust(['test', 'acme'], `${token}\n`);
  assert.deepEqual([tried.code, tried.err], [0, '']);
  assert.equal(
    tried.out,
    'acme/ci: yes, with repository:acme/app:pull,push repository:acme/cache-*:*\n' +
      'acme/release: no\n  claim "ref" is "refs/heads/main", which does not match "refs/tags/*"\n',
  );

  const other = await issuer.sign({ repository: 'evil/app', ref: 'refs/heads/main', aud: 'elsewhere' });
  const refused = await trust(['test', 'acme', '--json'], other);
  assert.deepEqual([refused.code, refused.err], [1, 'berth: no trust of acme accepts this token\n']);
  const { allowed, verdicts } = JSON.parse(refused.out) as {
    allowed: boolean;
    verdicts: { problems: string[] }[];
  };
  assert.equal(allowed, false);
  assert.equal(verdicts[0]?.problems.length, 2);
  for (const part of other.split('.')) assert.ok(!refused.out.includes(part));

  assert.match((await trust(['test', 'acme'], 'brth_x')).err, /not an ID token/);
  assert.match((await trust(['test', 'acme'], '')).err, /on standard input/);
  const foreign = await issuer.sign({ iss: 'https://elsewhere.example' });
  assert.match(
    (await trust(['test', 'acme'], foreign)).err,
    /has no trust for the issuer https:\/\/elsewhere/,
  );
});
