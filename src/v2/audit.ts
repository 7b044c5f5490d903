// Chooses the requests that are events of the audit log: refusals, and pulls if enabled. Changes are recorded by core.

import type { AuditAction } from '../audit/actions.ts';
import type { Audit } from '../audit/audit.ts';
import type { HttpRequest } from '../http/request.ts';
import type { Served } from './api.ts';
import type { Route } from './routes.ts';

export interface AuditRequestsParts {
  readonly audit: Pick<Audit, 'record'>;
  /** Whether pulls are recorded too. */
  readonly pulls: boolean;
}

/** Records every refused request, and pulls if enabled. */
export function auditRequests({ audit, pulls }: AuditRequestsParts): (served: Served) => void {
  return (served) => {
    const { request, route, status, error, identity } = served;
    if (route === undefined) return;
    const refused = isRefusal(served);
    if (!refused && !(pulls && isPull(served, route))) return;
    audit.record({
      action: actionOf(route, request),
      allowed: !refused,
      identity,
      // A closed connection has no address.
      address: request.client.address || undefined,
      repository: 'name' in route ? route.name : undefined,
      ...subjectOf(route, served),
      status,
      error: error?.code,
      requestId: request.id,
    });
  };
}

/** A redirect (307) delivers the bytes too; a HEAD or a 304 does not. */
function isPull({ request, status }: Served, { action }: Route): boolean {
  const isOfContent = action === 'getManifest' || action === 'getBlob';
  return isOfContent && !request.isHead && [200, 206, 307].includes(status);
}

/** A challenge to a caller without credentials is no refusal: every login begins with one. */
function isRefusal({ request, status, loginFailed }: Served): boolean {
  if (status === 403) return true;
  if (status === 401) return request.headers.authorization !== undefined;
  // Too many wrong passwords, or too many logins at once; other limits do not concern credentials.
  return loginFailed && (status === 429 || status === 503);
}

/** The requested action. */
function actionOf(route: Route, { query }: HttpRequest): AuditAction {
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

interface Subject {
  readonly tag?: string;
  readonly digest?: string;
}

function subjectOf(route: Route, { manifest }: Served): Subject {
  if ('digest' in route) return { digest: route.digest };
  if (!('reference' in route)) return {};
  const { reference } = route;
  if (reference.kind === 'digest') return { digest: reference.digest };
  return { tag: reference.tag, ...(manifest && { digest: manifest }) };
}
