import type { Config } from '../config/schema.ts';
import type { Ending } from '../failure.ts';
import type { Said } from './channel.ts';

/** What the primary tells a worker. */
export type ToWorker =
  | { readonly type: 'serve'; readonly slot: number; readonly config: Config }
  | { readonly type: 'stop' }
  | Said;

/** What a worker tells the primary. */
export type ToPrimary =
  | { readonly type: 'listening'; readonly url: string }
  /** Why it does not start. */
  | { readonly type: 'failed'; readonly ending: Ending }
  | Said;
