// Names of the database and the blob store for messages, without secrets.
import type { Config } from './schema.ts';

/** Host and database of a URL. The query is omitted: it may contain a password. Over a Unix socket there may be no host. */
export function serverOf(url: string): string {
  // libpq takes a user without a host, a URL's grammar does not.
  const { host, pathname } = new URL(url.replace('@/', '@socket/'));
  return `${host === '' || host === 'socket' ? 'a local socket' : host}${pathname}`;
}

/** Where a registry has what it knows. */
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
