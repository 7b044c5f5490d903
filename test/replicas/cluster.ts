import { randomInt } from 'node:crypto';
import type { TestContext } from 'node:test';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { Balancer } from './balancer.ts';
import { startBucket } from './bucket.ts';
import { Postgres } from './postgres.ts';
import { Replica } from './replica.ts';
import { Wire } from './wire.ts';

/** Three replicas behind a balancer, over PostgreSQL and a bucket or a directory that they share. */
export interface Cluster {
  readonly replicas: readonly [Replica, Replica, Replica];
  /** `HOST:PORT` of the balancer, through a wire. */
  readonly host: string;
  readonly balancer: Balancer;
  readonly postgres: Postgres;
  /** The name of the database on that server. */
  readonly database: string;
  /** From clients to the balancer, and from replicas to the bucket (`undefined` with a directory) and to PostgreSQL. */
  readonly wires: { readonly clients: Wire; readonly bucket: Wire | undefined; readonly database: Wire };
  /** The environment with which `berth` is one more replica. */
  readonly env: NodeJS.ProcessEnv;
  readonly data: string | undefined;
  /** Starts one more replica, which the balancer does not know. */
  startReplica(t: TestContext): Promise<Replica>;
}

export interface ClusterOptions {
  readonly storage: 'S3' | 'shared directory';
  /** Whether pulls are redirected to the bucket. */
  readonly redirect?: boolean;
  /** A server shared with other clusters; by default the cluster has its own. */
  readonly postgres?: Postgres;
}

const mib = 1 << 20;
let replicas = 0;
let databases = 0;

export async function startCluster(t: TestContext, options: ClusterOptions): Promise<Cluster> {
  const postgres = options.postgres ?? (await Postgres.start(t));
  databases += 1;
  const database = `registry_${databases}`;
  const databaseWire = await Wire.start(t, { target: postgres.host, cutAfter: () => randomInt(20_000) });
  const url = await postgres.createDatabase(database, databaseWire.host);
  const bucket = options.storage === 'S3' ? await startBucket(t) : undefined;
  const data = bucket ? undefined : await temporaryDirectory(t, 'berth-shared');
  const redirect = { BERTH_STORAGE_S3_REDIRECT: String(options.redirect ?? false) };
  const env = { BERTH_DATABASE_URL: url, ...(bucket && { ...bucket.env, ...redirect }) };
  const startReplica = (t: TestContext) => {
    replicas += 1;
    return Replica.start(t, replicas, env, data);
  };
  // All start at once on an empty database.
  const three = await Promise.all([startReplica(t), startReplica(t), startReplica(t)]);
  const hosts = three.map((replica) => replica.host);
  const balancer = await Balancer.start(t, hosts);
  const clients = await Wire.start(t, { target: balancer.host, cutAfter: () => randomInt(mib / 4) });
  const wires = { clients, bucket: bucket?.wire, database: databaseWire };
  return {
    replicas: three,
    host: clients.host,
    balancer,
    postgres,
    database,
    wires,
    env,
    data,
    startReplica,
  };
}
