import { readFile } from 'node:fs/promises';
import { type PublicKey, parseKeySet, parsePemKeys } from './public-keys.ts';
import { TokenServerKeysError } from './token-server-keys-error.ts';

export interface KeyFiles {
  /** PEM: certificates or public keys. */
  readonly certificates: string | undefined;
  /** A JSON Web Key Set. */
  readonly keys: string | undefined;
}

/** Observes reloads of the key files. */
export interface KeysObserver {
  reloaded(keys: number): void;
  /** A reload failed and the last keys stay in use. Called once until the files change again. */
  failed(error: Error): void;
}

/** Milliseconds between two reads of the files. */
const freshFor = 10_000;

/** The keys of another token server, reloaded when their files change. */
export class ForeignKeys {
  readonly #files: KeyFiles;
  readonly #clock: () => number;
  readonly #observer: KeysObserver;
  #keys: readonly PublicKey[];
  #seen: string;
  #readAt: number;
  #reading: Promise<void> | undefined;

  constructor(files: KeyFiles, clock: () => number, observer: KeysObserver, { keys, text }: Read) {
    this.#files = files;
    this.#clock = clock;
    this.#observer = observer;
    this.#keys = keys;
    this.#seen = text;
    this.#readAt = clock();
  }

  /**
   * @param clock milliseconds, monotonic
   * @throws TokenServerKeysError
   */
  static async open(
    files: KeyFiles,
    observer: KeysObserver,
    clock: () => number = () => performance.now(),
  ): Promise<ForeignKeys> {
    return new ForeignKeys(files, clock, observer, await parse(await readFiles(files)));
  }

  /** Whether {@link all} is up to date without {@link refresh}. */
  get fresh(): boolean {
    return this.#clock() < this.#readAt + freshFor;
  }

  get all(): readonly PublicKey[] {
    return this.#keys;
  }

  /** Concurrent calls share one read of the files. */
  async refresh(): Promise<void> {
    if (this.fresh) return;
    this.#reading ??= this.#reload().finally(() => {
      this.#reading = undefined;
    });
    await this.#reading;
  }

  /** Compares contents and not times, because Kubernetes swaps a symbolic link above the files. */
  async #reload(): Promise<void> {
    let text: string | undefined;
    try {
      const contents = await readFiles(this.#files);
      text = textOf(contents);
      if (text !== this.#seen) {
        this.#keys = (await parse(contents)).keys;
        this.#observer.reloaded(this.#keys.length);
      }
    } catch (error) {
      text ??= (error as Error).message;
      if (text !== this.#seen) this.#observer.failed(error as Error);
    }
    this.#seen = text;
    this.#readAt = this.#clock();
  }
}

interface Content {
  readonly setting: string;
  readonly file: string;
  readonly text: string;
  readonly parse: (text: string) => Promise<PublicKey[]>;
}

interface Read {
  readonly keys: readonly PublicKey[];
  readonly text: string;
}

async function readFiles({ certificates, keys }: KeyFiles): Promise<Content[]> {
  const contents: Content[] = [];
  if (certificates !== undefined) {
    contents.push(await read('tokenServer.certificates', certificates, parsePemKeys));
  }
  if (keys !== undefined) contents.push(await read('tokenServer.keys', keys, parseKeySet));
  return contents;
}

async function read(setting: string, file: string, parse: Content['parse']): Promise<Content> {
  try {
    return { setting, file, text: await readFile(file, 'utf8'), parse };
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new TokenServerKeysError(`${setting} ${file} cannot be read: ${code}`, { cause });
  }
}

function textOf(contents: readonly Content[]): string {
  return contents.map(({ text }) => text).join();
}

async function parse(contents: readonly Content[]): Promise<Read> {
  const keys = new Map<string, PublicKey>();
  for (const { setting, file, text, parse } of contents) {
    const found = await parse(text).catch((cause: Error) => {
      throw new TokenServerKeysError(`${setting} ${file} ${cause.message}`, { cause });
    });
    for (const key of found) keys.set(key.id, merge(keys.get(key.id), key));
  }
  return { keys: [...keys.values()], text: textOf(contents) };
}

/** Joins the names of a key that is listed twice. */
function merge(one: PublicKey | undefined, other: PublicKey): PublicKey {
  if (one === undefined) return other;
  const algorithms = [...new Set([...one.algorithms, ...other.algorithms])];
  return { ...other, names: new Set([...one.names, ...other.names]), algorithms };
}
