import type { Permit } from '../access/permit.ts';
import type { Manifests } from '../core/manifests.ts';
import type { Actor } from '../db/changes.ts';
import { readBody } from '../http/body.ts';
import { RegistryError } from '../oci/errors.ts';
import type { RepositoryName } from '../oci/name.ts';
import { parseTag, type Reference } from '../oci/reference.ts';
import { conditionsOf, isNotModified } from './conditions.ts';
import type { Exchange } from './exchange.ts';

const maxTags = 100;

interface ManifestRoute {
  readonly name: RepositoryName;
  readonly reference: Reference;
}

/** end-3: the stored bytes and type. `Accept` is ignored, as a digest names exactly one document. */
export async function getManifest(
  manifests: Manifests,
  exchange: Exchange,
  { name, reference }: ManifestRoute,
  { repository }: Permit,
): Promise<void> {
  const { digest, mediaType, bytes } = await manifests.get(name, reference, repository);
  exchange.manifest = digest;
  const headers = {
    'Docker-Content-Digest': digest,
    ETag: `"${digest}"`,
    'X-Content-Type-Options': 'nosniff',
  };
  if (isNotModified(exchange, digest)) return exchange.reply(304, headers);
  exchange.reply(200, { ...headers, 'Content-Type': mediaType, 'Content-Length': bytes.length }, bytes);
}

/**
 * end-7
 *
 * @param permitNow authorizes the caller again after the body has arrived, which may take an hour
 */
export async function putManifest(
  manifests: Manifests,
  maxSize: number,
  exchange: Exchange,
  { name, reference }: ManifestRoute,
  permitNow: () => Permit | Promise<Permit>,
  by: Actor,
): Promise<void> {
  const tags = exchange.query.getAll('tag');
  if (tags.length > maxTags)
    throw new RegistryError('TOO_MANY_TAGS', `a request may set at most ${maxTags} tags`);
  const request = {
    tags: reference.kind === 'digest' ? [...new Set(tags.map(parseTag))] : [],
    contentType: exchange.header('content-type'),
    conditions: conditionsOf(exchange),
    bytes: await exchange.takeBody((intake) => readBody(exchange.request, maxSize, intake)),
  };
  const permit = await permitNow();
  const push = { ...request, rights: permit, namespace: permit.claim, by };
  const { digest, subject } = await manifests.put(name, reference, push);
  exchange.reply(201, {
    Location: exchange.locationOf(`/v2/${name}/manifests/${digest}`),
    'Docker-Content-Digest': digest,
    ...(subject && { 'OCI-Subject': subject }),
    ...(push.tags.length > 0 && { 'OCI-Tag': push.tags }),
  });
}

/** end-9 */
export async function deleteManifest(
  manifests: Manifests,
  exchange: Exchange,
  { name, reference }: ManifestRoute,
  by: Actor,
): Promise<void> {
  await manifests.delete(name, reference, by, conditionsOf(exchange));
  exchange.reply(202, {});
}
