import { actorOf } from '../access/actor.ts';
import type { Permit } from '../access/permit.ts';
import { type Answer, warningsOf } from '../http/answer.ts';
import type { HttpRequest } from '../http/request.ts';
import { RegistryError } from '../oci/errors.ts';
import { parseTag } from '../oci/reference.ts';
import { aliasWarnings } from './alias.ts';
import { conditionsOf, isNotModified } from './conditions.ts';
import type { HandlerParts } from './handler.ts';
import { type RouteOf, rightOf } from './routes.ts';

const maxTags = 100;

/** end-3: the stored bytes and type. `Accept` is ignored, as a digest names exactly one document. */
export async function getManifest(
  { manifests, pulls }: HandlerParts,
  request: HttpRequest,
  { name, reference }: RouteOf<'getManifest'>,
  { repository }: Permit,
): Promise<Answer> {
  const { id, digest, mediaType, bytes } = await manifests.get(name, reference, repository);
  const headers = {
    'Docker-Content-Digest': digest,
    ETag: `"${digest}"`,
    'X-Content-Type-Options': 'nosniff',
  };
  if (isNotModified(request, digest)) return { status: 304, headers };
  if (!request.isHead) pulls.record(id);
  return {
    status: 200,
    headers: { ...headers, 'Content-Type': mediaType, 'Content-Length': bytes.length },
    body: bytes,
    manifest: digest,
  };
}

/** end-7 */
export async function putManifest(
  { manifests, access, maxManifestSize }: HandlerParts,
  request: HttpRequest,
  { reference, ...named }: RouteOf<'putManifest'>,
  { caller, alias }: Permit,
): Promise<Answer> {
  const by = actorOf(caller.identity, request.origin);
  const tags = request.query.getAll('tag');
  if (tags.length > maxTags)
    throw new RegistryError('TOO_MANY_TAGS', `a request may set at most ${maxTags} tags`);
  const push = {
    tags: reference.kind === 'digest' ? [...new Set(tags.map(parseTag))] : [],
    contentType: request.header('content-type'),
    conditions: conditionsOf(request),
    bytes: await request.readBody(maxManifestSize),
    by,
  };
  // Authorizes again: the body may have taken an hour, in which the repository may have been renamed.
  const asked = named.alias ?? named.name;
  const rights = await access.authorize(caller, rightOf.putManifest, asked);
  const name = rights.alias?.name ?? asked;
  const { digest, subject, warning } = await manifests.put(name, reference, {
    ...push,
    rights,
    namespace: rights.claim,
    repository: rights.repository,
  });
  return {
    status: 201,
    headers: {
      Location: request.locationOf(`/v2/${asked}/manifests/${digest}`),
      'Docker-Content-Digest': digest,
      ...(subject && { 'OCI-Subject': subject }),
      ...(push.tags.length > 0 && { 'OCI-Tag': push.tags }),
    },
    warnings: [
      ...warningsOf(warning),
      // The API adds those of an alias that was known before the body arrived.
      ...(alias === undefined ? (aliasWarnings(asked, rights.alias) ?? []) : []),
    ],
  };
}

/** end-9 */
export async function deleteManifest(
  { manifests }: HandlerParts,
  request: HttpRequest,
  { name, reference }: RouteOf<'deleteManifest'>,
  { caller }: Permit,
): Promise<Answer> {
  const by = actorOf(caller.identity, request.origin);
  await manifests.delete(name, reference, by, conditionsOf(request));
  return { status: 202, headers: {} };
}
