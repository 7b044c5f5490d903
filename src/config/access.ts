// Settings for authentication, authorization, rate limits and the audit log.
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

const WORDS_ALLOWED = 'a list of words; comma-separated in a variable';

function word() {
  return z.string().regex(/^[^\s,]+$/);
}

export const externalUrl = webUrl().exactOptional().meta({
  description: "The registry's public URL, used in the URLs of its token server and of single sign-on.",
  absent: 'the host of the request: its Host header, or the host that a trusted proxy forwards',
  flag: '--external-url <url>',
});

export const absoluteLocations = toggle().prefault(false).meta({
  description:
    'Whether Location headers are absolute URLs, which some clients of registry:2 need; scheme and host are those of externalUrl, or of the request if externalUrl is not set.',
});

export const trustedProxies = list(
  network(),
  'a list of networks or addresses, such as 10.0.0.0/8, 192.0.2.7 or fd00::/8; comma-separated in a variable',
)
  .prefault([])
  .meta({
    description:
      'The proxies whose forwardedHeaders are trusted; name every proxy of a chain. From other addresses these headers are ignored.',
    absent: 'none',
  });

export const forwardedHeaders = choice(['x-forwarded', 'forwarded']).prefault('x-forwarded').meta({
  description:
    "Which headers of trusted proxies are read: X-Forwarded-For, X-Forwarded-Proto and X-Forwarded-Host, or RFC 7239's Forwarded. Proxies must set the headers of the chosen kind; headers of the other kind are ignored.",
});

export const anonymous = choice(['none', 'public', 'pull', 'push']).exactOptional().meta({
  description:
    'Rights of callers without credentials: none, pull from public repositories, pull from all repositories, or everything.',
  absent: '`push` on a loopback address, `public` on any other',
  flag: '--allow-anonymous <none|public|pull|push>',
});

export const admin = z
  .strictObject({
    name: accountName().prefault('admin').meta({ description: 'The name of the first administrator.' }),
    password: secret().exactOptional().meta({
      description: 'The initial password of the first administrator; ignored once there is an administrator.',
      absent: 'a random password, printed once',
    }),
  })
  .readonly()
  .prefault({})
  .meta({
    description:
      'The first administrator; Berth creates it at the start if the registry has logins and no administrator.',
  });

export const access = z
  .strictObject({
    tokenLifetime: duration({ min: '1m', max: '24h' }).prefault('5m').meta({
      description:
        'How long a token of the token server is valid for pulls; pushes and deletes are checked against current rights.',
    }),
    refreshLifetime: duration({ min: '1h', max: '3650d' }).prefault('90d').meta({
      description: 'How long a logged-in client may fetch tokens without logging in again.',
    }),
    passwordLogin: toggle().prefault(true).meta({
      description: 'Whether passwords are accepted; if not, users need access tokens.',
    }),
    createNamespaces: choice(['administrators', 'users']).prefault('administrators').meta({
      description: 'Who may create a namespace by pushing to it, if it has no owner and no repositories.',
    }),
    namespacesPerUser: count({ min: 1, max: 1_000_000 }).prefault(10).meta({
      description:
        'How many namespaces a user may create by pushing, if access.createNamespaces is users; deleted ones do not count.',
    }),
  })
  .readonly()
  .prefault({})
  .meta({ description: 'Logins of people and machines.' });

const signOnSettings = z.strictObject({
  issuer: webUrl().exactOptional().meta({
    description: 'The issuer URL of the OpenID Connect provider; its discovery document is below this URL.',
    absent: 'none; single sign-on is off',
  }),
  clientId: oneLine().exactOptional().meta({
    description: "Berth's client id at the provider.",
    absent: 'none; required with signOn.issuer',
  }),
  clientSecret: secret().exactOptional().meta({
    description: "Berth's client secret at the provider.",
    absent: 'none; Berth is a public client, with PKCE only',
  }),
  scopes: list(word(), WORDS_ALLOWED)
    .prefault(['openid', 'profile', 'email'])
    .meta({ description: 'The scopes that Berth requests from the provider.' }),
  usernameClaim: text(/^[^\s,]+$/, 'the name of a claim')
    .prefault('preferred_username')
    .meta({ description: 'The claim with the name for a new user.' }),
  groupsClaim: text(/^[^\s,]+$/, 'the name of a claim')
    .prefault('groups')
    .meta({ description: "The claim with a user's groups, which determine team membership." }),
  administratorsGroup: oneLine().exactOptional().meta({
    description: 'The group whose members are administrators; applied at each sign-on.',
    absent: 'none; sign-on does not change administrators',
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
    description: 'The URL of the token server from which clients fetch tokens, instead of from Berth.',
    absent: "Berth's own token server",
  }),
  service: oneLine().exactOptional().meta({
    description: 'The name of this registry at the token server: the audience of the tokens.',
    absent: 'none; required with tokenServer.realm',
  }),
  issuer: oneLine().exactOptional().meta({
    description: "The token server's name: the issuer of its tokens.",
    absent: 'none; required with tokenServer.realm',
  }),
  certificates: path().exactOptional().meta({
    description: 'A PEM file with the certificates or public keys that verify the tokens.',
    absent: 'none; then tokenServer.keys is required',
  }),
  keys: path().exactOptional().meta({
    description: 'A JSON Web Key Set file with the keys that verify the tokens.',
    absent: 'none; then tokenServer.certificates is required',
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
      "An external token server with Docker's token format, whose tokens are accepted instead of Berth's.",
  });

export const loginLimits = {
  loginsPerAddress: count({ min: 1, max: 1_000_000 }).prefault(30).meta({
    description: 'How many wrong passwords an address may send per minute before it has to wait.',
  }),
  loginsPerAccount: count({ min: 1, max: 1_000_000 }).prefault(10).meta({
    description:
      'How many wrong passwords may be sent for an account per minute before its logins have to wait.',
  }),
};

const perMinute = (client: string) =>
  count({ min: 1, max: 10_000_000 })
    .exactOptional()
    .meta({
      description: `How many requests ${client} may send per minute, to one process.`,
      absent: 'no limit',
    });
const pulls = (client: string) =>
  count({ min: 1, max: 100_000_000 })
    .exactOptional()
    .meta({
      description: `How many manifests ${client} may pull in rateLimits.pullWindow, from all replicas together.`,
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
      .meta({ description: 'The time window in which pulls are counted.' }),
  })
  .readonly()
  .prefault({})
  .meta({ description: 'Request and pull limits; answers carry Docker Hub’s RateLimit headers.' });

export const audit = z
  .strictObject({
    keepFor: duration({ min: '1h', max: '3650d' })
      .prefault('90d')
      .meta({ description: 'How long the audit log is kept.' }),
    pulls: toggle().prefault(false).meta({
      description: 'Whether the audit log contains pulls too, not only writes, logins and refusals.',
    }),
  })
  .readonly()
  .prefault({})
  .meta({ description: 'The audit log.' });

/** Reports a missing key that the `others` require; the loader formats the message. */
function missing(context: z.RefinementCtx, path: string[], others: string[]): never {
  context.addIssue({ code: 'custom', path, message: 'missing', params: { with: others }, continue: true });
  return z.NEVER;
}
