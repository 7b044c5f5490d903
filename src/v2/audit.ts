// Which requests are events of the audit log, and what they are called there.

import type { AuditAction } from '../audit/actions.ts';
import type { Audit } from '../audit/audit.ts';
import type { Served } from './api.ts';
import type { Exchange } from './exchange.ts';
import type { Route } from './routes.ts';

export interface AuditRequestsParts {
  readonly audit: Pick<Audit, 'record'>;
  /** Whether pulls are events too. */
  readonly pulls: boolean;
}

/** Tells the audit log of every request that changed something or was refused. */
export function auditRequests({ audit, pulls }: AuditRequestsParts): (served: Served) => void {
  return (served) => {
    const { exchange, route, status, error, identity } = served;
    if (route === undefined) return;
    const { claim } = exchange;
    if (claim?.made) {
      const { namespace: organisation } = claim;
      audit.record({
        action: 'organisation.create',
        allowed: true,
        identity,
        address: exchange.client.address || undefined,
        detail: { organisation, repository: 'name' in route ? route.name : undefined },
        requestId: exchange.requestId,
      });
    }
    const refused = isRefusal(served);
    const action = refused ? actionOf(route, exchange) : changeOf(route, exchange, status, pulls);
    if (action === undefined) return;
    audit.record({
      action,
      allowed: !refused,
      identity,
      // Whose connection is gone has none.
      address: exchange.client.address || undefined,
      repository: 'name' in route ? route.name : undefined,
      ...(refused ? subjectOf(route) : { ...subjectOf(route), ...answerOf(exchange) }),
      status,
      error: error?.code,
      requestId: exchange.requestId,
    });
  };
}

/** That a caller without credentials is told to bring some is how every login begins. */
function isRefusal({ exchange, status, loginFailed }: Served): boolean {
  if (status === 403) return true;
  if (status === 401) return exchange.request.headers.authorization !== undefined;
  // Too many wrong passwords came before, or too many at once; other limits have nothing to do with who somebody is.
  return loginFailed && (status === 429 || status === 503);
}

/** What the caller wanted. */
function actionOf(route: Route, { query }: Exchange): AuditAction {
  switch (route.action) {
    case 'getBase':
      return 'api.check';
    case 'listRepositories':
      return 'repository.list';
    case 'listTags':
      return 'tag.list';
    case 'listReferrers':
      return 'referrer.list';
    case 'getBlob':
      return 'blob.pull';
    case 'deleteBlob':
      return 'blob.delete';
    case 'getManifest':
      return 'manifest.pull';
    case 'putManifest':
      return 'manifest.push';
    case 'deleteManifest':
      return route.reference.kind === 'tag' ? 'tag.delete' : 'manifest.delete';
    case 'startUpload':
      return query.has('mount') ? 'blob.mount' : 'upload.start';
    case 'patchUpload':
    case 'putUpload':
      return 'upload.write';
    case 'getUpload':
      return 'upload.read';
    case 'deleteUpload':
      return 'upload.cancel';
  }
}

/** What the request has changed, if anything, or pulled. */
function changeOf(route: Route, exchange: Exchange, status: number, pulls: boolean): AuditAction | undefined {
  switch (route.action) {
    case 'getManifest':
    case 'getBlob':
      // A redirect (307) lets the bytes go too; a HEAD, or a 304, does not.
      return pulls && !exchange.isHead && [200, 206, 307].includes(status)
        ? actionOf(route, exchange)
        : undefined;
    case 'putManifest':
      return status === 201 ? 'manifest.push' : undefined;
    case 'deleteManifest':
    case 'deleteBlob':
      return status === 202 ? actionOf(route, exchange) : undefined;
    case 'putUpload':
      return status === 201 ? 'blob.push' : undefined;
    case 'startUpload':
      // 202: a session was opened, which is nothing yet. A mount that fails goes on as one.
      if (status !== 201) return undefined;
      return exchange.query.has('mount') ? 'blob.mount' : 'blob.push';
    default:
      return undefined;
  }
}

interface Subject {
  readonly tag?: string;
  readonly digest?: string;
}

function subjectOf(route: Route): Subject {
  if ('digest' in route) return { digest: route.digest };
  if (!('reference' in route)) return {};
  const { reference } = route;
  return reference.kind === 'tag' ? { tag: reference.tag } : { digest: reference.digest };
}

/** What only the answer tells: the digest that a tag got, the tags that came with a manifest. */
function answerOf({ answer, query }: Exchange): Subject & { detail?: Record<string, unknown> } {
  const { 'Docker-Content-Digest': digest, 'OCI-Tag': tags } = answer;
  const from = query.get('from');
  const detail = {
    ...(tags !== undefined && { tags }),
    ...(from !== null && query.has('mount') && { from }),
  };
  return {
    ...(digest !== undefined && { digest: `${digest}` }),
    ...(Object.keys(detail).length > 0 && { detail }),
  };
}
