import type { Access } from '../access/access.ts';
import type { Permit } from '../access/permit.ts';
import type { Blobs } from '../core/blobs.ts';
import type { Manifests } from '../core/manifests.ts';
import type { Pulls } from '../core/pulls.ts';
import type { Uploads } from '../core/uploads.ts';
import type { Database } from '../db/database.ts';
import type { Answer } from '../http/answer.ts';
import type { HttpRequest } from '../http/request.ts';
import type { Redirects } from './redirects.ts';
import type { Action, RouteOf } from './routes.ts';

/** The parts that handlers use. */
export interface HandlerParts {
  readonly database: Database;
  readonly blobs: Blobs;
  readonly uploads: Uploads;
  readonly manifests: Manifests;
  readonly pulls: Pick<Pulls, 'record'>;
  readonly access: Access;
  readonly maxManifestSize: number;
  /** Absent: Berth sends all bytes itself. */
  readonly redirects?: Redirects | undefined;
}

/** Answers the authorized requests of one action. Throws errors of any kind; see `asRegistryError`. */
export type Handler<A extends Action> = (
  parts: HandlerParts,
  request: HttpRequest,
  route: RouteOf<A>,
  permit: Permit,
) => Answer | Promise<Answer>;
