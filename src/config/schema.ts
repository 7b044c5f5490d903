/**
 * The settings of one Berth process. Read once at start, then handed down in slices; nothing below
 * `app.ts` and `cli/` sees the whole of it.
 */
export interface Config {
  /** Where the registry listens. */
  readonly listen: ListenAddress;
  /** Absolute path of the data directory: `berth.db` and the blob files. */
  readonly data: string;
  /** What callers without credentials may do on this listener. */
  readonly anonymous: 'none' | 'pull' | 'push';
  readonly tls?: { readonly certificate: string; readonly key: string };
  readonly log: {
    readonly level: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent';
    readonly format: 'auto' | 'json' | 'pretty';
    /** One line a request. */
    readonly access: boolean;
  };
  /** Health and metrics on a listener of their own; absent: on the main one. */
  readonly operations?: { readonly listen: ListenAddress };
  readonly manifests: {
    /** Bytes; at least 4 MiB, which clients may rely on. */
    readonly maxSize: number;
    /** Whether an index may name child manifests that the repository does not hold. */
    readonly allowSparseIndexes: boolean;
  };
  readonly deletes: { readonly enabled: boolean };
  readonly uploads: {
    /** Milliseconds without a request after which an upload session is given up. */
    readonly expireAfter: number;
  };
  readonly limits: {
    /** Milliseconds without one byte of progress after which a transfer is cut. */
    readonly idleTimeout: number;
    /** Bytes per second below which a transfer is cut, measured over `idleTimeout`. */
    readonly minimumRate: number;
    readonly maxConnections: number;
  };
  readonly shutdown: {
    /** Milliseconds that running transfers may take to end. */
    readonly drainTimeout: number;
  };
}

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}
