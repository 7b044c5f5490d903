import { actorOf } from '../access/actor.ts';
import { limitSubject } from '../access/limit-subject.ts';
import type { Permit } from '../access/permit.ts';
import type { UploadBody, UploadStatus, Uploads } from '../core/uploads.ts';
import type { Actor } from '../db/changes.ts';
import type { SessionKey } from '../db/uploads.ts';
import { type Answer, ErrorWithHeaders, type Headers, warningsOf } from '../http/answer.ts';
import type { Intake } from '../http/body.ts';
import { parseContentRange } from '../http/range.ts';
import type { HttpRequest } from '../http/request.ts';
import { type Digest, parseDigest, parseDigestAlgorithm, quote } from '../oci/digest.ts';
import { RegistryError } from '../oci/errors.ts';
import { parseName } from '../oci/name.ts';
import type { HandlerParts } from './handler.ts';
import { pathOf, type RouteOf } from './routes.ts';

type UploadRoute = RouteOf<'startUpload' | 'getUpload' | 'patchUpload' | 'putUpload'>;

/** end-4 and end-11: open a session, push a whole blob, or mount one. */
export async function startUpload(
  { uploads, blobs }: HandlerParts,
  request: HttpRequest,
  route: RouteOf<'startUpload'>,
  permit: Permit,
): Promise<Answer> {
  const by = actorOf(permit.caller.identity, request.origin);
  const { name } = route;
  const { query } = request;
  const mount = query.get('mount');
  const from = query.get('from');
  if (mount !== null) {
    const digest = parseDigest(mount);
    const source = from === null ? undefined : parseName(from);
    const pusher = { by, namespace: permit.claim, repository: permit.repository };
    const mounted = await blobs.mount(name, digest, source, permit.mayPull, pusher);
    if (mounted) return blobCreated(request, route, digest, mounted.warning);
    // end-11: a blob that cannot be mounted is uploaded in an ordinary session.
  }
  const wanted = query.get('digest');
  const algorithm = query.get('digest-algorithm');
  if (wanted !== null && mount === null) {
    return pushWhole(uploads, request, route, parseDigest(wanted), permit, by);
  }
  const status = await uploads.start(
    name,
    algorithm === null ? 'sha256' : parseDigestAlgorithm(algorithm),
    permit.principal,
    {
      claim: permit.claim,
      chargedTo: limitSubject(permit.principal, request.client.address),
      repository: permit.repository,
    },
  );
  return { status: 202, headers: sessionHeaders(request, route, status) };
}

/** end-4b: pushes a blob in one request, through a session that ends with the request. */
async function pushWhole(
  uploads: Uploads,
  request: HttpRequest,
  route: RouteOf<'startUpload'>,
  digest: Digest,
  { principal: owner, claim, repository }: Permit,
  by: Actor,
): Promise<Answer> {
  const { name } = route;
  const chargedTo = limitSubject(owner, request.client.address);
  const length = request.header('content-length');
  const whole = { digest, bytes: length === undefined ? undefined : Number(length) };
  const { id } = await uploads.start(name, 'sha256', owner, { claim, chargedTo, repository, whole });
  const session = { name, owner, id };
  try {
    const warning = await request.takeBody((intake) =>
      uploads.finish(session, digest, intake, { by, namespace: claim }),
    );
    return blobCreated(request, route, digest, warning);
  } catch (error) {
    await uploads.cancel(session).catch(() => {});
    throw error;
  }
}

/** end-13 */
export async function getUpload(
  { uploads }: HandlerParts,
  request: HttpRequest,
  route: RouteOf<'getUpload'>,
  { principal: owner }: Permit,
): Promise<Answer> {
  const { name, id } = route;
  const status = await uploads.status({ name, id, owner });
  return { status: 204, headers: sessionHeaders(request, route, status) };
}

/** end-5 */
export async function patchUpload(
  { uploads }: HandlerParts,
  request: HttpRequest,
  route: RouteOf<'patchUpload'>,
  { principal: owner }: Permit,
): Promise<Answer> {
  const session = { name: route.name, id: route.id, owner };
  const status = await withSessionState(uploads, request, route, session, () =>
    request.takeBody((intake) => uploads.append(session, bodyOf(request, intake))),
  );
  return { status: 202, headers: sessionHeaders(request, route, status) };
}

/** end-6 */
export async function putUpload(
  { uploads }: HandlerParts,
  request: HttpRequest,
  route: RouteOf<'putUpload'>,
  { principal: owner, caller, claim }: Permit,
): Promise<Answer> {
  const by = actorOf(caller.identity, request.origin);
  const session = { name: route.name, id: route.id, owner };
  const wanted = request.query.get('digest');
  if (wanted === null)
    throw new RegistryError('DIGEST_INVALID', 'the digest is missing: send PUT …?digest=<digest>');
  const digest = parseDigest(wanted);
  const warning = await withSessionState(uploads, request, route, session, () =>
    request.takeBody((intake) =>
      uploads.finish(session, digest, bodyOf(request, intake), { by, namespace: claim }),
    ),
  );
  return blobCreated(request, route, digest, warning);
}

/** end-14 */
export async function deleteUpload(
  { uploads }: HandlerParts,
  _request: HttpRequest,
  { name, id }: RouteOf<'deleteUpload'>,
  { principal: owner }: Permit,
): Promise<Answer> {
  await uploads.cancel({ name, id, owner });
  return { status: 204, headers: {} };
}

function bodyOf(request: HttpRequest, intake: Intake): UploadBody {
  const header = request.header('content-range');
  if (header === undefined) return intake;
  const range = parseContentRange(header);
  if (range === undefined)
    throw new RegistryError('RANGE_INVALID', `Content-Range must be <first>-<last>, found ${quote(header)}`);
  const length = request.header('content-length');
  if (length !== undefined && Number(length) !== range.last - range.first + 1) {
    throw new RegistryError(
      'RANGE_INVALID',
      `Content-Range ${quote(header)} does not match the body of ${length} bytes`,
    );
  }
  return { ...intake, range };
}

/** Adds the state of the session to the error of a refused chunk (R16), so that the client can continue at once. */
async function withSessionState<T>(
  uploads: Uploads,
  request: HttpRequest,
  route: UploadRoute,
  session: SessionKey,
  run: () => Promise<T>,
): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof RegistryError) || error.code !== 'RANGE_INVALID') throw error;
    const headers = sessionHeaders(request, route, await uploads.status(session));
    throw new ErrorWithHeaders(error.code, error.detail, headers, { cause: error });
  }
}

function sessionHeaders(request: HttpRequest, route: UploadRoute, { id, size }: UploadStatus): Headers {
  return {
    Location: request.locationOf(`${pathOf(route)}/blobs/uploads/${id}`),
    // Inclusive and without a unit; an empty session has 0-0 too, as clients expect a range.
    Range: `0-${Math.max(size - 1, 0)}`,
    'Docker-Upload-UUID': id,
  };
}

function blobCreated(
  request: HttpRequest,
  route: UploadRoute,
  digest: Digest,
  warning: string | undefined,
): Answer {
  return {
    status: 201,
    headers: {
      Location: request.locationOf(`${pathOf(route)}/blobs/${digest}`),
      'Docker-Content-Digest': digest,
    },
    warnings: warningsOf(warning),
  };
}
