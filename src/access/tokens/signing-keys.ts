import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomUUID,
} from 'node:crypto';
import { calculateJwkThumbprint, type JWK } from 'jose';
import type { Database } from '../../db/database.ts';
import { findOrSetProperty, findProperty } from '../../db/properties.ts';
import {
  insertSigningKey,
  listSigningKeys,
  lockSigningKeys,
  type SigningKeyRow,
} from '../../db/signing-keys.ts';

/** The only algorithm that Berth signs with: ECDSA on P-256. */
export const signingAlgorithm = 'ES256';

export interface SigningKey {
  /** The `kid` of its tokens: its thumbprint (RFC 7638). */
  readonly id: string;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  /** Verifies existing tokens, but signs no new ones. */
  readonly retired: boolean;
}

/** Makes a key pair: its id, and its private key as PKCS #8 in PEM. */
export async function makeSigningKey(): Promise<{ id: string; privateKey: string }> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const id = await calculateJwkThumbprint(publicKey.export({ format: 'jwk' }) as JWK);
  return { id, privateKey: privateKey.export({ format: 'pem', type: 'pkcs8' }) };
}

/** Milliseconds that keys are cached: after that every process knows of a rotated or revoked key. */
const keysFreshFor = 15_000;
/** Milliseconds between two queries for unknown keys, as anyone can invent key ids. */
const missesEvery = 2_000;

/** The installation's own signing keys, from the database with a short cache. The first key is created on first use. */
export class SigningKeys {
  readonly #database: Database;
  readonly #clock: () => number;
  #keys: ReadonlyMap<string, SigningKey> = new Map();
  #readAt = Number.NEGATIVE_INFINITY;
  #missedAt = Number.NEGATIVE_INFINITY;
  #reading: Promise<void> | undefined;
  #issuer: string | undefined;

  constructor({ database, clock }: { readonly database: Database; readonly clock: () => number }) {
    this.#database = database;
    this.#clock = clock;
  }

  /** Whether {@link get} is up to date without {@link refresh}. */
  get fresh(): boolean {
    return isWithin(keysFreshFor, this.#readAt, this.#clock());
  }

  async refresh(): Promise<void> {
    if (!this.fresh) await this.#read();
  }

  /** Finds a key in memory. */
  get(id: string): SigningKey | undefined {
    return this.#keys.get(id);
  }

  /** Finds a key, even one that another process has just created. */
  async find(id: string): Promise<SigningKey | undefined> {
    await this.refresh();
    const known = this.#keys.get(id);
    const now = this.#clock();
    if (known !== undefined || isWithin(missesEvery, this.#missedAt, now)) return known;
    this.#missedAt = now;
    await this.#read();
    return this.#keys.get(id);
  }

  /** The key for new tokens. */
  async signer(): Promise<SigningKey> {
    await this.refresh();
    const known = this.#newest();
    if (known !== undefined) return known;
    const made = await makeSigningKey();
    await this.#database.transaction(async (db) => {
      await lockSigningKeys(db);
      // Another process may have created one in the meantime.
      const exists = (await listSigningKeys(db)).some((row) => row.retired_at === null);
      if (!exists) await insertSigningKey(db, { ...made, now: this.#clock() });
    });
    await this.#read();
    return this.#newest() ?? this.signer();
  }

  /** The issuer (`iss`) of tokens: the registry's own id. */
  async issuer(): Promise<string> {
    this.#issuer ??=
      (await findProperty(this.#database.read, 'registry')) ??
      (await this.#database.transaction((db) => findOrSetProperty(db, 'registry', randomUUID())));
    return this.#issuer;
  }

  #newest(): SigningKey | undefined {
    return [...this.#keys.values()].findLast((key) => !key.retired);
  }

  /** Concurrent calls share one read. */
  #read(): Promise<void> {
    this.#reading ??= this.#readNow().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  async #readNow(): Promise<void> {
    const began = this.#clock();
    const rows = await listSigningKeys(this.#database.read);
    this.#keys = new Map(rows.map((row) => [row.id, this.#parse(row)]));
    this.#readAt = began;
  }

  #parse({ id, private_key, retired_at }: SigningKeyRow): SigningKey {
    const retired = retired_at !== null;
    const known = this.#keys.get(id);
    if (known !== undefined) return { ...known, retired };
    const privateKey = createPrivateKey(private_key);
    return { id, privateKey, publicKey: createPublicKey(privateKey), retired };
  }
}

/** If the clock was set back, the time counts as over. */
function isWithin(milliseconds: number, since: number, now: number): boolean {
  return now >= since && now < since + milliseconds;
}
