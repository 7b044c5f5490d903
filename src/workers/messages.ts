import type { Config } from '../config/schema.ts';
import type { Ending } from '../failure.ts';
import type { Message } from './channel.ts';

/** A message from the primary to a worker. */
export type ToWorker =
  | { readonly type: 'serve'; readonly slot: number; readonly config: Config }
  | { readonly type: 'stop' }
  | Message;

/** A message from a worker to the primary. */
export type ToPrimary =
  | { readonly type: 'listening'; readonly url: string }
  /** The worker could not start. */
  | { readonly type: 'failed'; readonly ending: Ending }
  | Message;
