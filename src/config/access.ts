// Who may do what, and how they say who they are: the settings around `access/`.
import { z } from 'zod';
import {
  accountName,
  choice,
  count,
  duration,
  list,
  network,
  oneLine,
  path,
  secret,
  text,
  toggle,
  webUrl,
} from './values.ts';

const WORDS_ALLOWED = 'a list of words, with commas between them in a variable';

function word() {
  return z.string().regex(/^[^\s,]+$/);
}

export const externalUrl = webUrl().exactOptional().meta({
  description:
    'Where clients reach the registry: the address of its token server and of single sign-on in what they are told.',
  absent: 'what the request says, by its Host header or through a trusted proxy',
  flag: '--external-url <url>',
});

export const absoluteLocations = toggle().prefault(false).meta({
  description:
    "Whether Location headers carry scheme and host, as registry:2's do, for clients that count on it: externalUrl's, or those by which the client reached the registry.",
});

export const trustedProxies = list(
  network(),
  'a list of networks or addresses, such as 10.0.0.0/8, 192.0.2.7 or fd00::/8, with commas between them in a variable',
)
  .prefault([])
  .meta({
    description:
      'The proxies whose forwardedHeaders are believed, each of a chain; from anyone else they are ignored.',
    absent: 'none',
  });

export const forwardedHeaders = choice(['x-forwarded', 'forwarded']).prefault('x-forwarded').meta({
  description:
    "Which headers of trusted proxies are read: X-Forwarded-For, X-Forwarded-Proto and X-Forwarded-Host, or RFC 7239's Forwarded. Proxies have to set these; the others are ignored.",
});

export const anonymous = choice(['none', 'public', 'pull', 'push']).exactOptional().meta({
  description:
    'What callers without credentials may do: nothing, pull public repositories, pull every repository, or everything.',
  absent: '`push` on a loopback address, `public` on any other',
  flag: '--allow-anonymous <none|public|pull|push>',
});

export const admin = z
  .strictObject({
    name: accountName()
      .prefault('admin')
      .meta({ description: 'The name of the administrator that is made when there is none.' }),
    password: secret().exactOptional().meta({
      description: 'The password that this administrator is made with; it changes nothing afterwards.',
      absent: 'a random one, which is printed once',
    }),
  })
  .readonly()
  .prefault({})
  .meta({
    description:
      'The first administrator, who is made at the start of a registry with logins that has no administrator.',
  });

export const access = z
  .strictObject({
    tokenLifetime: duration({ min: '1m', max: '24h' }).prefault('5m').meta({
      description:
        'How long a token of the token server is good for pulls; pushes and deletes are checked against the rights of the moment.',
    }),
    refreshLifetime: duration({ min: '1h', max: '3650d' }).prefault('90d').meta({
      description: 'How long a client that logged in may fetch tokens without logging in again.',
    }),
    passwordLogin: toggle().prefault(true).meta({
      description: 'Whether passwords are accepted; if not, people need access tokens.',
    }),
    createNamespaces: choice(['administrators', 'users']).prefault('administrators').meta({
      description: 'Who may make a namespace that nobody has, and that holds nothing, by pushing to it.',
    }),
    namespacesPerUser: count({ min: 1, max: 1_000_000 }).prefault(10).meta({
      description:
        'How many namespaces a user may make by pushing to them, where users may; those that were deleted do not count.',
    }),
  })
  .readonly()
  .prefault({})
  .meta({ description: 'How people and machines log in, and for how long.' });

const signOnSettings = z.strictObject({
  issuer: webUrl().exactOptional().meta({
    description: 'The OpenID Connect provider: the URL that its discovery document is below.',
    absent: 'none; there is no single sign-on',
  }),
  clientId: oneLine().exactOptional().meta({
    description: 'What Berth is called at the provider.',
    absent: 'none; it has to be given with signOn.issuer',
  }),
  clientSecret: secret().exactOptional().meta({
    description: "Berth's secret at the provider.",
    absent: 'none; Berth is a public client, with PKCE alone',
  }),
  scopes: list(word(), WORDS_ALLOWED)
    .prefault(['openid', 'profile', 'email'])
    .meta({ description: 'What Berth asks the provider for.' }),
  usernameClaim: text(/^[^\s,]+$/, 'the name of a claim')
    .prefault('preferred_username')
    .meta({ description: "The claim that a new user's name is taken from." }),
  groupsClaim: text(/^[^\s,]+$/, 'the name of a claim')
    .prefault('groups')
    .meta({ description: "The claim that lists a user's groups, which teams are filled from." }),
  administratorsGroup: oneLine().exactOptional().meta({
    description: 'The group whose members are administrators, as of each sign-on.',
    absent: 'none; sign-on changes nothing about who is an administrator',
  }),
});

export const signOn = signOnSettings
  .transform((value, context) => {
    const { issuer, clientId, ...rest } = value;
    if (issuer === undefined && clientId === undefined && rest.clientSecret === undefined) return undefined;
    if (issuer === undefined) return missing(context, ['issuer'], ['signOn.clientId', 'signOn.clientSecret']);
    if (clientId === undefined) return missing(context, ['clientId'], ['signOn.issuer']);
    return Object.freeze({ issuer, clientId, ...rest });
  })
  .prefault({})
  .meta({ description: 'Single sign-on for people, with any OpenID Connect provider.' });

const tokenServerSettings = z.strictObject({
  realm: webUrl().exactOptional().meta({
    description: 'Where clients fetch their tokens, if not from Berth.',
    absent: "Berth's own token server",
  }),
  service: oneLine().exactOptional().meta({
    description: "What this registry is called there; the tokens' audience.",
    absent: 'none; it has to be given with tokenServer.realm',
  }),
  issuer: oneLine().exactOptional().meta({
    description: "What the token server calls itself; the tokens' issuer.",
    absent: 'none; it has to be given with tokenServer.realm',
  }),
  certificates: path().exactOptional().meta({
    description: 'A PEM file with the certificates, or public keys, that tokens are signed with.',
    absent: 'none; then tokenServer.keys has to be given',
  }),
  keys: path().exactOptional().meta({
    description: 'A file with the same keys as a JSON Web Key Set.',
    absent: 'none; then tokenServer.certificates has to be given',
  }),
});

export const tokenServer = tokenServerSettings
  .transform((value, context) => {
    const { realm, service, issuer, certificates, keys } = value;
    const given = Object.keys(value).map((key) => `tokenServer.${key}`);
    if (given.length === 0) return undefined;
    if (realm === undefined) return missing(context, ['realm'], given);
    if (service === undefined) return missing(context, ['service'], given);
    if (issuer === undefined) return missing(context, ['issuer'], given);
    if (certificates === undefined && keys === undefined) return missing(context, ['certificates'], given);
    return Object.freeze({ realm, service, issuer, certificates, keys });
  })
  .prefault({})
  .meta({
    description:
      "Another token server, in Docker's token format, whose tokens are trusted in place of Berth's.",
  });

export const loginLimits = {
  loginsPerAddress: count({ min: 1, max: 1_000_000 }).prefault(30).meta({
    description: 'How many wrong passwords an address may send in a minute before it has to wait.',
  }),
  loginsPerAccount: count({ min: 1, max: 1_000_000 }).prefault(10).meta({
    description: 'How many wrong passwords may be sent for an account in a minute before it has to wait.',
  }),
};

const perMinute = (who: string) =>
  count({ min: 1, max: 10_000_000 })
    .exactOptional()
    .meta({
      description: `How many requests ${who} may send in a minute, to one process.`,
      absent: 'no limit',
    });
const pulls = (who: string) =>
  count({ min: 1, max: 100_000_000 })
    .exactOptional()
    .meta({
      description: `How many manifests ${who} may pull in rateLimits.pullWindow, from all replicas together.`,
      absent: 'no limit',
    });

export const rateLimits = z
  .strictObject({
    requestsPerAddress: perMinute('an address'),
    requestsPerUser: perMinute('a user'),
    pullsPerAddress: pulls('an address without credentials'),
    pullsPerUser: pulls('a user'),
    pullWindow: duration({ min: '1m', max: '30d' })
      .prefault('6h')
      .meta({ description: 'The time over which pulls are counted.' }),
  })
  .readonly()
  .prefault({})
  .meta({ description: 'How much a client may ask for; answers carry Docker Hub’s RateLimit headers.' });

export const audit = z
  .strictObject({
    keepFor: duration({ min: '1h', max: '3650d' })
      .prefault('90d')
      .meta({ description: 'How long the audit log is kept.' }),
    pulls: toggle().prefault(false).meta({
      description: 'Whether pulls are in the audit log as well, not only writes, logins and refusals.',
    }),
  })
  .readonly()
  .prefault({})
  .meta({ description: 'Who did what: the audit log.' });

/** The loader says it in its own words. */
function missing(context: z.RefinementCtx, path: string[], beside: string[]): never {
  context.addIssue({ code: 'custom', path, message: 'missing', params: { with: beside }, continue: true });
  return z.NEVER;
}
