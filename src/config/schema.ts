// Every setting of Berth: key, type, default and a one-sentence description. The reference page, the JSON
// schema, the environment variables and the flags are derived from it.
import { z } from 'zod';
import { tagRuleForm } from '../oci/tag-rule.ts';
import {
  absoluteLocations,
  access,
  admin,
  anonymous,
  audit,
  externalUrl,
  forwardedHeaders,
  loginLimits,
  rateLimits,
  signOn,
  tokenServer,
  trustedProxies,
} from './access.ts';
import { isLoopback } from './address.ts';
import { backup } from './backup.ts';
import { storage } from './storage.ts';
import {
  address,
  choice,
  count,
  databaseUrl,
  duration,
  list,
  path,
  size,
  tagRule,
  toggle,
} from './values.ts';

const noQuota = '0: no limit';

function quotaBytes() {
  return size({ min: '0B', max: '8191TiB' }).prefault('0B');
}

function quotaCount() {
  return count({ min: 0, max: 1_000_000_000 }).prefault(0);
}

const settings = z.strictObject({
  listen: address()
    .prefault('127.0.0.1:5000')
    .meta({ description: 'The address on which the registry listens.', flag: '--listen <host:port>' }),
  data: path().prefault('./data').meta({
    description:
      'The data directory with the database and the blobs; with database.url and storage.type filesystem it contains only the blobs, on a file system that all replicas share.',
    flag: '--data <directory>',
  }),
  database: z
    .strictObject({
      url: databaseUrl().exactOptional().meta({
        description: 'The PostgreSQL database that all replicas share.',
        absent: 'none; Berth uses SQLite in the data directory',
      }),
      poolSize: count({ min: 1, max: 1000 }).prefault(10).meta({
        description: 'How many PostgreSQL connections a process may have open at once.',
      }),
    })
    .readonly()
    .prefault({})
    .meta({ description: 'The database, which stores everything but the blobs.' }),
  storage,
  workers: count({ min: 1, max: 256 })
    .prefault(1)
    .meta({ description: 'How many processes serve requests, one per core.', flag: '--workers <count>' }),
  anonymous,
  externalUrl,
  absoluteLocations,
  trustedProxies,
  forwardedHeaders,
  admin,
  access,
  signOn,
  tokenServer,
  tls: z
    .strictObject({
      certificate: path().meta({
        description: 'The PEM file with the certificate and its chain; read again when it changes.',
        flag: '--tls-certificate <file>',
      }),
      key: path().meta({
        description: "The PEM file with the certificate's private key; read again when it changes.",
        flag: '--tls-key <file>',
      }),
    })
    .readonly()
    .exactOptional()
    .meta({
      description: 'HTTPS with this certificate and key; without them the registry serves plain HTTP.',
    }),
  log: z
    .strictObject({
      level: choice(['trace', 'debug', 'info', 'warn', 'error', 'silent'])
        .prefault('info')
        .meta({ description: 'The lowest level that is logged.', flag: '--log-level <level>' }),
      format: choice(['auto', 'json', 'pretty']).prefault('auto').meta({
        description: 'The format of log lines; auto is pretty on a terminal and JSON elsewhere.',
        flag: '--log-format <format>',
      }),
      access: toggle().prefault(true).meta({
        description:
          'Whether each request is logged, in one line after its answer; successful reads of health and metrics at level debug, others at info.',
      }),
    })
    .readonly()
    .prefault({})
    .meta({ description: 'Logging, to standard output.' }),
  operations: z
    .strictObject({
      listen: address().meta({
        description:
          "The address on which health and metrics are served, instead of the registry's own listener.",
        flag: '--operations-listen <host:port>',
      }),
    })
    .readonly()
    .exactOptional()
    .meta({
      description:
        "A separate listener for health and metrics; without it the registry's listener serves them.",
    }),
  manifests: z
    .strictObject({
      // The distribution spec guarantees clients 4 MiB.
      maxSize: size({ min: '4MiB', max: '64MiB' })
        .prefault('4MiB')
        .meta({ description: 'The largest manifest that may be pushed.' }),
      missingReferences: choice(['none', 'children', 'all']).prefault('children').meta({
        description:
          "Which references of a manifest may be missing in its repository: none, an index's children, or all (layers and config too).",
      }),
    })
    .readonly()
    .prefault({}),
  tags: z
    .strictObject({
      immutable: list(tagRule(), `a list of rules; comma-separated in a variable; a rule is ${tagRuleForm}`)
        .prefault([])
        .meta({
          description:
            'Rules for the tags of all repositories: a tag that a rule selects cannot be moved or deleted once it exists. `berth tag rule` adds rules for one namespace or repository.',
          absent: 'none',
        }),
    })
    .readonly()
    .prefault({}),
  deletes: z
    .strictObject({
      enabled: toggle()
        .prefault(true)
        .meta({ description: 'Whether tags, manifests and blobs may be deleted through the API.' }),
      keepUnknownFor: duration({ min: '24h', max: '3650d' }).prefault('30d').meta({
        description: 'How long garbage collection keeps a blob without a database row after finding it.',
      }),
    })
    .readonly()
    .prefault({}),
  quotas: z
    .strictObject({
      namespace: z
        .strictObject({
          bytes: quotaBytes().meta({
            description: `Bytes of the distinct blobs of all repositories of a namespace, at most; ${noQuota}.`,
          }),
          tags: quotaCount().meta({ description: `Tags in a namespace, at most; ${noQuota}.` }),
          repositories: quotaCount().meta({
            description: `Repositories in a namespace, at most; ${noQuota}.`,
          }),
        })
        .readonly()
        .prefault({}),
      repository: z
        .strictObject({
          bytes: quotaBytes().meta({
            description: `Bytes of the distinct blobs of a repository, at most; ${noQuota}.`,
          }),
          tags: quotaCount().meta({ description: `Tags in a repository, at most; ${noQuota}.` }),
        })
        .readonly()
        .prefault({}),
    })
    .readonly()
    .prefault({})
    .meta({
      description:
        'Quotas of every namespace and repository; `berth quota set` sets others for one namespace or repository.',
    }),
  usage: z
    .strictObject({
      keepFor: duration({ min: '24h', max: '3650d' }).prefault('400d').meta({
        description: 'How long the daily usage is kept, for `berth usage --days`.',
      }),
    })
    .readonly()
    .prefault({}),
  gc: z
    .strictObject({
      grace: duration({ min: '1m', max: '3650d' }).prefault('24h').meta({
        description:
          'How long garbage collection keeps a blob after it was pushed, checked by a client that may push, or last needed by a manifest.',
      }),
      blobsPerSecond: count({ min: 0, max: 1_000_000 }).prefault(0).meta({
        description: 'Blobs that garbage collection deletes in a second, at most; 0: no limit.',
      }),
      bytesPerSecond: size({ min: '0B', max: '1TiB' }).prefault('0B').meta({
        description: 'Bytes that garbage collection deletes in a second, at most; 0: no limit.',
      }),
      maxPercent: count({ min: 1, max: 100 }).prefault(50).meta({
        description:
          'Percentage of all blobs that one garbage collection may delete. If more are due, it deletes nothing and its job fails. Up to 1,000 blobs are always deleted.',
      }),
      searchEvery: duration({ min: '1h', max: '3650d' }).prefault('7d').meta({
        description: 'How often the whole store is listed for blobs without a database row.',
      }),
    })
    .readonly()
    .prefault({}),
  scrub: z
    .strictObject({
      every: duration({ min: '0ms', max: '3650d' }).prefault('30d').meta({
        description:
          'How often all stored blobs and manifests are read and compared with their digests, from the beginning of one pass to the next; 0: never.',
      }),
      bytesPerSecond: size({ min: '0B', max: '1TiB' }).prefault('10MiB').meta({
        description: 'Bytes that a pass reads in a second, at most; 0: no limit.',
      }),
    })
    .readonly()
    .prefault({}),
  trash: z
    .strictObject({
      keepFor: duration({ min: '0ms', max: '3650d' }).prefault('7d').meta({
        description:
          'How long deleted tags, manifests and repositories can be restored with `berth trash restore`; 0ms: they are deleted at once.',
      }),
    })
    .readonly()
    .prefault({}),
  uploads: z
    .strictObject({
      expireAfter: duration({ min: '1s', max: '365d' }).prefault('24h').meta({
        description: 'How long an upload may go without a request before it is deleted.',
      }),
    })
    .readonly()
    .prefault({}),
  limits: z
    .strictObject({
      // Node timers overflow above 24 days and fire at once.
      idleTimeout: duration({ min: '100ms', max: '24h' }).prefault('60s').meta({
        description:
          'How long a client may stall before its connection is closed: while sending the request head (from 2s to 30s) or body, or while reading the answer.',
      }),
      minimumRate: size({ min: '0B', max: '1GiB' }).prefault('1KiB').meta({
        description:
          'Bytes per second below which a client counts as stalled, measured over limits.idleTimeout; with 0 a single byte is enough.',
      }),
      maxConnections: count({ min: 1, max: 1_000_000 }).prefault(10_000).meta({
        description:
          'How many connections may be open at once; requests on further connections get 503, except for health and metrics.',
      }),
      connectionsPerNetwork: count({ min: 1, max: 1_000_000 }).prefault(1_000).meta({
        description:
          'How many connections one network (an IPv4 address, 64 bits of IPv6) may have open at once; requests on further connections get 429, except for health and metrics. Addresses in trustedProxies are not limited.',
      }),
      ...loginLimits,
      uploadsPerAccount: count({ min: 1, max: 1_000_000 }).prefault(1_000).meta({
        description:
          'How many uploads an account, or a network of callers without an account, may have open at once.',
      }),
      stagedBytesPerAccount: size({ min: '1MiB', max: '8191TiB' }).prefault('1TiB').meta({
        description:
          'How many bytes of unfinished uploads an account, or a network of callers without an account, may have staged.',
      }),
    })
    .readonly()
    .prefault({}),
  rateLimits,
  audit,
  backup,
  aliases: z
    .strictObject({
      keepFor: duration({ min: '0s', max: '3650d' }).prefault('90d').meta({
        description:
          'How long the former name of a renamed repository works as an alias; 0s: not at all. `berth repo rename --alias-for` sets another time.',
      }),
    })
    .readonly()
    .prefault({}),
  history: z
    .strictObject({
      keepFor: duration({ min: '1h', max: '3650d' }).prefault('365d').meta({
        description:
          'How long moves and deletions of tags are kept, for `berth tag history` and `berth tag rollback`, and the daily numbers of pulls; moves at least as long as the audit log.',
      }),
    })
    .readonly()
    .prefault({}),
  retention: z
    .strictObject({
      every: duration({ min: '1m', max: '3650d' }).prefault('24h').meta({
        description:
          'How often retention policies are applied (`berth retention`); without a policy nothing is removed.',
      }),
    })
    .readonly()
    .prefault({}),
  shutdown: z
    .strictObject({
      drainTimeout: duration({ min: '0ms', max: '24h' })
        .prefault('30s')
        .meta({ description: 'How long running transfers may continue after the signal to stop.' }),
    })
    .readonly()
    .prefault({}),
});

/** Parses the contents of a file; the result is deeply frozen. */
export const configSchema = settings
  .transform((config) => ({
    ...config,
    anonymous: config.anonymous ?? (isLoopback(config.listen) ? ('push' as const) : ('public' as const)),
  }))
  .readonly();

/**
 * The settings of one Berth process. Read once at start; only `app.ts`, `assemble/` and `cli/` see all of it and pass parts on.
 */
export type Config = z.output<typeof configSchema>;
