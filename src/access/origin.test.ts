// For every way to sign in: creates chains of sessions and tokens, and checks that each event ends exactly the sessions and tokens
// that depend on it.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { dialects, makeUser } from '../../test/support/databases.ts';
import { createAccessToken, revokeAccessToken } from '../administration/access-tokens.ts';
import type { ActingDatabase } from '../administration/change.ts';
import { setDisabled } from '../db/accounts.ts';
import { insertIdentity } from '../db/identities.ts';
import { setPassword, updateUser } from '../db/users.ts';
import { loadEntitlements } from './entitlements.ts';
import type { Credential } from './identity.ts';
import { Logins } from './login/logins.ts';
import { Sessions } from './login/sessions.ts';
import type { SignInProof } from './origin.ts';
import { BearerTokens } from './tokens/bearer.ts';
import { SigningKeys } from './tokens/signing-keys.ts';

const hour = 3_600_000;

/** A session or token, and the names of everything that it depends on. */
interface Made {
  readonly name: string;
  readonly restsOn: readonly string[];
  readonly isUsable: () => Promise<boolean>;
}

type Root = 'password' | 'sign-on' | 'token';

/** A registry and a chain of sign-ins: each session makes a token, and the next session begins with it. */
async function setUp(given: ActingDatabase, root: Root, depth: number) {
  const world = { now: given.clock(), passwordLogin: true };
  const clock = () => world.now;
  const database = { ...given, clock };
  const userName = `alice-${randomUUID()}`;
  const account = await makeUser(database, userName);
  await database.transaction((db) => setPassword(db, account, 'a hash', world.now));
  const since = world.now;
  const identity = await database.transaction((db) =>
    insertIdentity(db, 'https://sso.example', userName, account),
  );
  const sessions = () => new Sessions({ database, clock, passwordLogin: world.passwordLogin });
  const bearer = () =>
    new BearerTokens({
      keys: new SigningKeys({ database, clock }),
      clock,
      lifetime: 300_000,
      refreshLifetime: 10_000 * hour,
      passwordLogin: world.passwordLogin,
    });
  const made: Made[] = [];
  const tokens: number[] = [];

  const addToken = (
    name: string,
    restsOn: readonly string[],
    { id, token }: { id: number; token: string },
  ) => {
    const whole = [...restsOn, name];
    tokens.push(id);
    const logIn = () =>
      new Logins({ database, clock, passwordLogin: world.passwordLogin, perAddress: 9, perAccount: 9 })
        .authenticate({ username: userName, password: token }, '192.0.2.1')
        .then(
          () => true,
          () => false,
        );
    made.push({ name, restsOn: whole, isUsable: logIn });
    return { proof: { kind: 'token', id } as const, whole };
  };
  const addRefresh = async (name: string, restsOn: readonly string[], credential: Credential) => {
    const text = await bearer().issueRefresh({
      principal: { kind: 'user', id: account, name: 'alice' },
      credential,
    });
    const isUsable = async () => {
      const found = await bearer()
        .verifyRefresh(text)
        .catch(() => undefined);
      return found !== undefined && (await loadEntitlements(database.read, found, world)) !== undefined;
    };
    made.push({ name: `refresh token of ${name}`, restsOn, isUsable });
  };

  let proof: SignInProof;
  let restsOn: readonly string[];
  if (root === 'token') {
    const first = await createAccessToken(database, {
      owner: { kind: 'user', name: userName },
      scopes: [],
      lifetime: hour,
    });
    ({ proof, whole: restsOn } = addToken('token 0', ['expiry of token 0'], first));
  } else {
    proof = root === 'password' ? { kind: 'password', since } : { kind: 'identity', id: identity };
    restsOn = [root];
  }
  if (proof.kind !== 'identity') await addRefresh('the login', restsOn, proof);
  for (let level = 1; level <= depth; level++) {
    const session = await sessions().begin(account, proof);
    const find = () => sessions().find(session.secret);
    const begun = await find();
    assert.ok(begun);
    made.push({
      name: `session ${level}`,
      restsOn: [...restsOn, 'expiry of a session', 'new password'],
      isUsable: async () => (await find()) !== undefined,
    });
    const lifetime = level % 2 === 0 ? null : 100 * hour;
    const token = await createAccessToken(database, {
      owner: { kind: 'user', name: userName },
      scopes: [],
      lifetime,
      origin: begun,
    });
    if (root === 'token')
      assert.ok((token.expiresAt as number) <= since + hour, 'no later token outlives token 0');
    const name = `token ${level}`;
    const own = lifetime === null ? restsOn : [...restsOn, 'expiry of a later token'];
    ({ proof, whole: restsOn } = addToken(name, own, token));
    await addRefresh(name, restsOn, proof);
  }
  return { database, world, account, identity, made, tokens };
}

type World = Awaited<ReturnType<typeof setUp>>;

/** Events by name, and the names of what each event ends. */
const events: Record<string, { readonly ends: readonly string[]; run(of: World): unknown }> = {
  nothing: { ends: [], run() {} },
  'the user may use tokens only': {
    ends: ['password'],
    run: ({ database, account }) =>
      database.transaction((db) => updateUser(db, account, { tokenOnly: true })),
  },
  'password login is turned off': {
    ends: ['password'],
    run: ({ world }) => {
      world.passwordLogin = false;
    },
  },
  'a new password, in the same millisecond': {
    ends: ['password', 'new password'],
    run: ({ database, account, world }) =>
      database.transaction((db) => setPassword(db, account, 'another', world.now)),
  },
  'the identity is unlinked': {
    ends: ['sign-on'],
    run: ({ database, identity }) =>
      database.transaction((db) => db.deleteFrom('identities').where('id', '=', identity).execute()),
  },
  'the identity is unlinked, and linked again': {
    ends: ['sign-on'],
    run: async ({ database, identity, account }) => {
      await database.transaction((db) => db.deleteFrom('identities').where('id', '=', identity).execute());
      await database.transaction((db) => insertIdentity(db, 'https://again.example', `${account}`, account));
    },
  },
  'the first token is revoked': {
    ends: ['token 0', 'token 1'],
    run: ({ database, tokens }) => revokeAccessToken(database, tokens[0] as number),
  },
  'the last token is revoked': {
    ends: ['token 3'],
    run: ({ database, tokens }) => revokeAccessToken(database, tokens.at(-1) as number),
  },
  'an hour goes by': {
    ends: ['expiry of token 0'],
    run: ({ world }) => {
      world.now += hour;
    },
  },
  'a day goes by': {
    ends: ['expiry of token 0', 'expiry of a session'],
    run: ({ world }) => {
      world.now += 24 * hour;
    },
  },
  'a week goes by': {
    ends: ['expiry of token 0', 'expiry of a session', 'expiry of a later token'],
    run: ({ world }) => {
      world.now += 7 * 24 * hour;
    },
  },
  'the user is disabled': {
    ends: ['password', 'sign-on', 'token 0'],
    run: ({ database, account }) => database.transaction((db) => setDisabled(db, account, 1)),
  },
};

async function check(t: TestContext, open: (t: TestContext) => Promise<ActingDatabase>, root: Root) {
  const database = await open(t);
  for (const [event, { ends, run }] of Object.entries(events)) {
    const world = await setUp(database, root, 3);
    // The first token that exists: made by an administrator, or in the first session.
    const first = root === 'token' ? 'token 0' : 'token 1';
    const gone = event === 'the first token is revoked' ? [first] : ends;
    for (const { name, isUsable } of world.made) assert.ok(await isUsable(), `${name} before ${event}`);
    await run(world);
    for (const { name, restsOn, isUsable } of world.made) {
      const expected = !restsOn.some((one) => gone.includes(one));
      assert.equal(await isUsable(), expected, `${root}: ${name} after ${event}`);
    }
  }
}

for (const { name, open } of dialects) {
  for (const root of ['password', 'sign-on', 'token'] as const) {
    test(`${name}: sessions and tokens end with the ${root} that began them, through any number of sign-ins, and not before`, (t) =>
      check(t, open, root));
  }

  test(`${name}: a revoked access token or one with scopes creates no token`, async (t) => {
    const database = await open(t);
    const account = await makeUser(database, 'alice');
    const owner = { kind: 'user', name: 'alice' } as const;
    const sessions = new Sessions({ database, clock: database.clock, passwordLogin: true });
    const revoked = await createAccessToken(database, { owner, scopes: [], lifetime: null });
    const { secret } = await sessions.begin(account, { kind: 'token', id: revoked.id });
    const origin = await sessions.find(secret);
    assert.ok(origin);
    await revokeAccessToken(database, revoked.id);
    await assert.rejects(createAccessToken(database, { owner, scopes: [], lifetime: null, origin }), {
      message: 'the access token that you signed in with was revoked',
    });
    const scopes = ['repository:alice/*:pull'];
    const scoped = await createAccessToken(database, { owner, scopes, lifetime: null });
    await assert.rejects(sessions.begin(account, { kind: 'token', id: scoped.id }), {
      message: 'the access token that you signed in with has scopes, so it cannot create sessions or tokens',
    });
  });
}
