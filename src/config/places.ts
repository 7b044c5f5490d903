// Names of the database and the blob store for messages, without secrets.
import type { Config } from './schema.ts';

/** Host and database of a URL; a URL with a Unix socket may have no host. Omits the query, which may contain a password. */
export function serverOf(url: string): string {
  // libpq accepts a user without a host, the URL parser does not.
  const { host, pathname } = new URL(url.replace('@/', '@socket/'));
  return `${host === '' || host === 'socket' ? 'a local socket' : host}${pathname}`;
}

/** The location of a registry's database: server and database name, or the data directory. */
export function registryPlace({ database, data }: Pick<Config, 'database' | 'data'>): string {
  return database.url === undefined ? data : serverOf(database.url);
}

/** `bucket NAME`, with its endpoint and prefix if set. */
export function bucketOf({
  bucket,
  endpoint,
  prefix,
}: {
  bucket: string;
  endpoint?: string;
  prefix: string;
}): string {
  return `bucket ${bucket}${endpoint ? ` at ${endpoint}` : ''}${prefix === '' ? '' : `, below ${prefix}`}`;
}

export function databasePlace({ database, data }: Pick<Config, 'database' | 'data'>): string {
  return database.url === undefined ? `the database in ${data}` : `the database ${serverOf(database.url)}`;
}

export function storePlace({ storage, data }: Pick<Config, 'storage' | 'data'>): string {
  return storage.type === 's3' ? `the ${bucketOf(storage.s3)}` : `the blob store in ${data}`;
}

export function placesOf(config: Config): { readonly database: string; readonly store: string } {
  return { database: databasePlace(config), store: storePlace(config) };
}
