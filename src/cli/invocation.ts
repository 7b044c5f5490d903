import { randomUUID } from 'node:crypto';
import type { Command } from 'commander';
import { type ActingDatabase, actAs } from '../administration/change.ts';
import type { Loaded } from '../config/load.ts';
import { placesOf } from '../config/places.ts';
import type { Config } from '../config/schema.ts';
import { StoreEpoch } from '../core/store-epoch.ts';
import { checkStoreAtStart } from '../core/store-identity.ts';
import type { Database } from '../db/database.ts';
import type { Inspection } from '../db/inspection.ts';
import { refuseUnfinishedCopy } from '../db/properties.ts';
import { openStore } from '../open.ts';
import type { BlobStore } from '../storage/blob-store.ts';
import { commandActor } from './command-actor.ts';
import { configOf } from './config-flags.ts';
import type { Context } from './context.ts';
import { inspectExisting, openForAdministration } from './existing.ts';

/** One run of a command: its configuration, and its registry, opened on demand and closed at the end. */
export class Invocation implements AsyncDisposable {
  readonly context: Context;
  readonly #command: Command;
  readonly #opening: { readonly create?: boolean };
  readonly #opened = new AsyncDisposableStack();
  #loaded: Loaded<Config> | undefined;

  /** @param opening `create` creates a missing registry; absent if the command has no `--create` */
  constructor(command: Command, context: Context, opening: { readonly create?: boolean } = {}) {
    this.#command = command;
    this.context = context;
    this.#opening = opening;
  }

  get config(): Config {
    return this.#load().config;
  }

  /** Opens the database read-only; servers may be running. */
  async openForReading(): Promise<Pick<Inspection, 'read' | 'clock'>> {
    const database = await inspectExisting(this.#load(), this.context);
    this.#opened.defer(() => database.close());
    await refuseUnfinishedCopy(database.read);
    return database;
  }

  /** Opens the database for changes by the user of the operating system; servers may be running. */
  async openForChanges(): Promise<ActingDatabase> {
    const database = await openForAdministration(this.#load(), this.context, this.#opening);
    this.#opened.defer(() => database.close());
    return actAs(database, commandActor());
  }

  /** Opens the blob store; the commands that change it check first that it belongs to the database. */
  async openStore(): Promise<BlobStore> {
    const store = await openStore(this.config, { inspectOnly: true });
    this.#opened.defer(() => store.close());
    return store;
  }

  /** Opens the blob store for new blobs of this database; their commits raise the epoch. @throws StoreMismatch */
  async openStoreForChanges(database: Database): Promise<BlobStore> {
    const places = placesOf(this.config);
    const store = await openStore(this.config);
    this.#opened.defer(() => store.close());
    const disagreement = await checkStoreAtStart(database, store, places);
    if (disagreement !== undefined) this.warn(disagreement.message);
    const parts = { database, store, places, clock: database.clock, holder: randomUUID(), checked: () => {} };
    const epoch = new StoreEpoch(parts);
    this.#opened.defer(() => epoch.close());
    return epoch.wrap(store);
  }

  warn(text: string): void {
    this.context.err(`berth: ${text}\n`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#opened.disposeAsync();
  }

  #load(): Loaded<Config> {
    this.#loaded ??= configOf(this.#command, this.context);
    return this.#loaded;
  }
}
