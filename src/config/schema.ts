// Every setting of Berth: its key, kind, default and one sentence on what it does. The reference page,
// the JSON schema, the environment variables and the flags all come from here.
import { z } from 'zod';
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
import { storage } from './storage.ts';
import { address, choice, count, databaseUrl, duration, path, size, toggle } from './values.ts';

const settings = z.strictObject({
  listen: address()
    .prefault('127.0.0.1:5000')
    .meta({ description: 'Where the registry listens.', flag: '--listen <host:port>' }),
  data: path().prefault('./data').meta({
    description:
      'The data directory, which holds the database and the blobs; with database.url and storage.type filesystem it holds the blobs alone, on a file system that all replicas share.',
    flag: '--data <directory>',
  }),
  database: z
    .strictObject({
      url: databaseUrl().exactOptional().meta({
        description: 'The PostgreSQL database that all replicas share.',
        absent: 'none; SQLite in the data directory',
      }),
      poolSize: count({ min: 1, max: 1000 }).prefault(10).meta({
        description: 'How many connections to PostgreSQL a process may have open at once.',
      }),
    })
    .readonly()
    .prefault({})
    .meta({ description: 'Where everything but the blobs is kept.' }),
  storage,
  workers: count({ min: 1, max: 256 })
    .prefault(1)
    .meta({ description: 'How many processes serve, on as many cores.', flag: '--workers <count>' }),
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
    .meta({ description: 'Serve HTTPS with this pair of files; without it the registry speaks plain HTTP.' }),
  log: z
    .strictObject({
      level: choice(['trace', 'debug', 'info', 'warn', 'error', 'silent'])
        .prefault('info')
        .meta({ description: 'The least severe events that are logged.', flag: '--log-level <level>' }),
      format: choice(['auto', 'json', 'pretty']).prefault('auto').meta({
        description: 'How a log line looks; auto is pretty on a terminal and JSON elsewhere.',
        flag: '--log-format <format>',
      }),
      access: toggle().prefault(true).meta({
        description:
          'Whether each request is logged, in one line when it has been answered; successful reads of health and metrics at level debug, all else at info.',
      }),
    })
    .readonly()
    .prefault({})
    .meta({ description: 'What is logged, and how; logs go to standard output.' }),
  operations: z
    .strictObject({
      listen: address().meta({
        description: "Where health and metrics are served, away from the registry's own listener.",
        flag: '--operations-listen <host:port>',
      }),
    })
    .readonly()
    .exactOptional()
    .meta({ description: "A listener for health and metrics alone; without it they share the registry's." }),
  manifests: z
    .strictObject({
      // The distribution spec lets clients rely on 4 MiB.
      maxSize: size({ min: '4MiB', max: '64MiB' })
        .prefault('4MiB')
        .meta({ description: 'The largest manifest that may be pushed.' }),
      missingReferences: choice(['none', 'children', 'all']).prefault('children').meta({
        description:
          "What a manifest may name that its repository does not hold: none, an index's children, or all (layers and config too).",
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
        description: 'How long a blob that the database did not know is kept after the sweeper found it.',
      }),
    })
    .readonly()
    .prefault({}),
  uploads: z
    .strictObject({
      expireAfter: duration({ min: '1s', max: '365d' }).prefault('24h').meta({
        description: 'How long an upload may lie without a request before it is given up and removed.',
      }),
    })
    .readonly()
    .prefault({}),
  limits: z
    .strictObject({
      // Above 24 days a Node timer would overflow and fire at once.
      idleTimeout: duration({ min: '100ms', max: '24h' }).prefault('60s').meta({
        description:
          'How long a client may keep a request waiting before its connection is cut: for the rest of its head (from 2s to 30s), for more of its body, or for room for more of the answer.',
      }),
      minimumRate: size({ min: '0B', max: '1GiB' }).prefault('1KiB').meta({
        description:
          'The bytes a second below which a body or an answer counts as waiting, measured over limits.idleTimeout; with 0 a single byte is enough.',
      }),
      maxConnections: count({ min: 1, max: 1_000_000 }).prefault(10_000).meta({
        description:
          'How many connections may be open at once; on more of them, requests but for health and metrics are answered 503.',
      }),
      connectionsPerNetwork: count({ min: 1, max: 1_000_000 }).prefault(1_000).meta({
        description:
          'How many connections one network (an IPv4 address, 64 bits of IPv6) may have open at once; on more of them, requests but for health and metrics are answered 429. Addresses in trustedProxies are not limited.',
      }),
      ...loginLimits,
      uploadsPerAccount: count({ min: 1, max: 1_000_000 }).prefault(1_000).meta({
        description:
          'How many uploads of an account, or of the network of callers without one, may be open at once.',
      }),
      stagedBytesPerAccount: size({ min: '1MiB', max: '8191TiB' }).prefault('1TiB').meta({
        description:
          'How much of an account, or of the network of callers without one, may be staged in uploads that are not finished.',
      }),
    })
    .readonly()
    .prefault({}),
  rateLimits,
  audit,
  shutdown: z
    .strictObject({
      drainTimeout: duration({ min: '0ms', max: '24h' })
        .prefault('30s')
        .meta({ description: 'How long running transfers may take to end once Berth is told to stop.' }),
    })
    .readonly()
    .prefault({}),
});

/** Parses what a file may say; the result is frozen all the way down. */
export const configSchema = settings
  .transform((config) => ({
    ...config,
    anonymous: config.anonymous ?? (isLoopback(config.listen) ? ('push' as const) : ('public' as const)),
  }))
  .readonly();

/**
 * The settings of one Berth process. Read once at start, then handed down in slices; nothing below
 * `app.ts` and `cli/` sees the whole of it.
 */
export type Config = z.output<typeof configSchema>;
