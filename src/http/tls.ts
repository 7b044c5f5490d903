// Loads the certificate of the HTTPS listener from two files, and reloads it when they change.
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { Server } from 'node:https';
import { createSecureContext } from 'node:tls';
import type { BaseLogger } from 'pino';
import { TlsError } from './tls-error.ts';

export interface TlsFiles {
  readonly certificate: string;
  readonly key: string;
}

/** The pair as `node:https` takes it. */
export interface TlsPair {
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** Throws `TlsError`, naming the file, unless both files can be read and belong together. */
export async function loadTls(files: TlsFiles): Promise<TlsPair> {
  const pair = await readPair(files);
  checkPair(pair, files);
  return pair;
}

export interface WatchOptions {
  /** The pair the server runs with. */
  readonly current: TlsPair;
  /** Milliseconds between two checks. */
  readonly every?: number;
}

/**
 * Uses a changed pair for new connections. It compares the contents of the files and not their times or names, as Kubernetes
 * swaps a symbolic link above them. An invalid or half-written pair is logged once and the old one stays in use.
 */
export function watchTls(
  files: TlsFiles,
  server: Pick<Server, 'setSecureContext'>,
  log: Pick<BaseLogger, 'info' | 'error'>,
  { current, every = 10_000 }: WatchOptions,
): { close(): void } {
  let seen = fingerprint(current);
  let closed = false;

  async function reload(): Promise<void> {
    let state: string | undefined;
    try {
      const pair = await readPair(files);
      state = fingerprint(pair);
      if (state === seen || closed) return;
      server.setSecureContext({ ...pair });
      log.info({ ...checkPair(pair, files) }, 'TLS certificate reloaded');
    } catch (error) {
      state ??= (error as Error).message;
      if (state !== seen)
        log.error({ err: error }, 'TLS certificate not reloaded; the last valid one stays in use');
    } finally {
      seen = state ?? seen;
    }
  }

  let timer: NodeJS.Timeout;
  const schedule = () => {
    timer = setTimeout(() => reload().finally(() => closed || schedule()), every).unref();
  };
  schedule();
  return {
    close() {
      closed = true;
      clearTimeout(timer);
    },
  };
}

async function readPair(files: TlsFiles): Promise<TlsPair> {
  const [cert, key] = await Promise.all([
    read('tls.certificate', files.certificate),
    read('tls.key', files.key),
  ]);
  return { cert, key };
}

async function read(setting: string, file: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (cause) {
    throw new TlsError(`${setting} ${file} cannot be read: ${(cause as NodeJS.ErrnoException).code}`, {
      cause,
    });
  }
}

/** Checks a pair and describes its certificate. */
function checkPair({ cert, key }: TlsPair, files: TlsFiles) {
  const certificate = attempt(
    `tls.certificate ${files.certificate} contains no PEM certificate`,
    () => new X509Certificate(cert),
  );
  const privateKey = attempt(`tls.key ${files.key} contains no unencrypted PEM private key`, () =>
    createPrivateKey(key),
  );
  if (!certificate.checkPrivateKey(privateKey)) {
    throw new TlsError(`tls.key ${files.key} does not belong to tls.certificate ${files.certificate}`);
  }
  // Checks the rest of the chain too.
  attempt(`tls.certificate ${files.certificate} is not usable`, () => createSecureContext({ cert, key }));
  const { subject, serialNumber, validTo } = certificate;
  return { subject, serialNumber, validTo };
}

function attempt<T>(problem: string, make: () => T): T {
  try {
    return make();
  } catch (cause) {
    throw new TlsError(`${problem}: ${(cause as Error).message}`, { cause });
  }
}

function fingerprint({ cert, key }: TlsPair): string {
  return Buffer.concat([cert, Buffer.of(0), key]).toString('latin1');
}
