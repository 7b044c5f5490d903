import { limitSubject } from '../access/limit-subject.ts';
import type { Permit } from '../access/permit.ts';
import type { Blobs } from '../core/blobs.ts';
import type { UploadBody, UploadStatus, Uploads } from '../core/uploads.ts';
import type { Actor } from '../db/changes.ts';
import type { SessionKey } from '../db/uploads.ts';
import type { Intake } from '../http/body.ts';
import { parseContentRange } from '../http/range.ts';
import { type Digest, parseDigest, parseDigestAlgorithm, quote } from '../oci/digest.ts';
import { RegistryError } from '../oci/errors.ts';
import { parseName, type RepositoryName } from '../oci/name.ts';
import type { Exchange, Headers } from './exchange.ts';

interface UploadRoute {
  readonly name: RepositoryName;
  readonly id: string;
}

/** end-4 and end-11: open a session, push a whole blob, or mount one. */
export async function startUpload(
  uploads: Uploads,
  blobs: Blobs,
  exchange: Exchange,
  { name }: { name: RepositoryName },
  permit: Permit,
  by: Actor,
): Promise<void> {
  const { query } = exchange;
  const mount = query.get('mount');
  const from = query.get('from');
  if (mount !== null) {
    const digest = parseDigest(mount);
    const source = from === null ? undefined : parseName(from);
    if (await blobs.mount(name, digest, source, permit.mayPull, { by, namespace: permit.claim })) {
      return exchange.reply(201, blobHeaders(exchange, name, digest));
    }
    // end-11: a blob that cannot be mounted is uploaded in an ordinary session.
  }
  const wanted = query.get('digest');
  const algorithm = query.get('digest-algorithm');
  if (wanted === null || mount !== null) {
    const status = await uploads.start(
      name,
      algorithm === null ? 'sha256' : parseDigestAlgorithm(algorithm),
      permit.principal,
      { claim: permit.claim, chargedTo: limitSubject(permit.principal, exchange.client.address) },
    );
    return exchange.reply(202, sessionHeaders(exchange, name, status));
  }
  await pushWhole(uploads, exchange, name, parseDigest(wanted), permit, by);
}

/** end-4b: pushes a blob in one request, through a session that ends with it. */
async function pushWhole(
  uploads: Uploads,
  exchange: Exchange,
  name: RepositoryName,
  digest: Digest,
  { principal: owner, claim }: Permit,
  by: Actor,
): Promise<void> {
  const chargedTo = limitSubject(owner, exchange.client.address);
  const { id } = await uploads.start(name, 'sha256', owner, { claim, chargedTo });
  const session = { name, owner, id };
  try {
    await exchange.takeBody((intake) => uploads.finish(session, digest, intake, { by, namespace: claim }));
  } catch (error) {
    await uploads.cancel(session).catch(() => {});
    throw error;
  }
  exchange.reply(201, blobHeaders(exchange, name, digest));
}

/** end-13 */
export async function getUpload(
  uploads: Uploads,
  exchange: Exchange,
  { name, id }: UploadRoute,
  { principal: owner }: Permit,
): Promise<void> {
  exchange.reply(204, sessionHeaders(exchange, name, await uploads.status({ name, id, owner })));
}

/** end-5 */
export async function patchUpload(
  uploads: Uploads,
  exchange: Exchange,
  { name, id }: UploadRoute,
  { principal: owner }: Permit,
): Promise<void> {
  const session = { name, id, owner };
  const status = await orState(uploads, exchange, session, () =>
    exchange.takeBody((intake) => uploads.append(session, bodyOf(exchange, intake))),
  );
  exchange.reply(202, sessionHeaders(exchange, name, status));
}

/** end-6 */
export async function putUpload(
  uploads: Uploads,
  exchange: Exchange,
  { name, id }: UploadRoute,
  { principal: owner, claim }: Permit,
  by: Actor,
): Promise<void> {
  const session = { name, id, owner };
  const wanted = exchange.query.get('digest');
  if (wanted === null)
    throw new RegistryError('DIGEST_INVALID', 'the digest is missing: send PUT …?digest=<digest>');
  const digest = parseDigest(wanted);
  await orState(uploads, exchange, session, () =>
    exchange.takeBody((intake) =>
      uploads.finish(session, digest, bodyOf(exchange, intake), { by, namespace: claim }),
    ),
  );
  exchange.reply(201, blobHeaders(exchange, name, digest));
}

/** end-14 */
export async function deleteUpload(
  uploads: Uploads,
  exchange: Exchange,
  { name, id }: UploadRoute,
  { principal: owner }: Permit,
): Promise<void> {
  await uploads.cancel({ name, id, owner });
  exchange.reply(204, {});
}

function bodyOf(exchange: Exchange, intake: Intake): UploadBody {
  const header = exchange.header('content-range');
  if (header === undefined) return intake;
  const range = parseContentRange(header);
  if (range === undefined)
    throw new RegistryError('RANGE_INVALID', `Content-Range must be <first>-<last>, found ${quote(header)}`);
  const length = exchange.header('content-length');
  if (length !== undefined && Number(length) !== range.last - range.first + 1) {
    throw new RegistryError(
      'RANGE_INVALID',
      `Content-Range ${quote(header)} does not match the body of ${length} bytes`,
    );
  }
  return { ...intake, range };
}

/** Adds the state of the session to a refused chunk's answer (R16), so that the client can continue at once. */
async function orState<T>(
  uploads: Uploads,
  exchange: Exchange,
  session: SessionKey,
  run: () => Promise<T>,
): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof RegistryError && error.code === 'RANGE_INVALID') {
      exchange.errorHeaders = sessionHeaders(exchange, session.name, await uploads.status(session));
    }
    throw error;
  }
}

function sessionHeaders(exchange: Exchange, name: RepositoryName, { id, size }: UploadStatus): Headers {
  return {
    Location: exchange.locationOf(`/v2/${name}/blobs/uploads/${id}`),
    // Inclusive and without a unit; an empty session has 0-0 too, as clients expect a range.
    Range: `0-${Math.max(size - 1, 0)}`,
    'Docker-Upload-UUID': id,
  };
}

function blobHeaders(exchange: Exchange, name: RepositoryName, digest: Digest): Headers {
  return { Location: exchange.locationOf(`/v2/${name}/blobs/${digest}`), 'Docker-Content-Digest': digest };
}
