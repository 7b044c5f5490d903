// The annotations of index.json that name images.
import { asName, type RepositoryName } from '../oci/name.ts';
import { asTag, printReference, type Reference, type Tag } from '../oci/reference.ts';

/** The tag, by the OCI image spec; skopeo and oras choose images by it. podman writes a whole name. */
export const refNameAnnotation = 'org.opencontainers.image.ref.name';
/** The whole name `host/repository:tag`, as containerd and Docker write it. */
export const imageNameAnnotation = 'io.containerd.image.name';

/** In the names of an export, so that a repository whose first component looks like a host keeps it. */
const host = 'localhost';

const hostPattern = /^(?:[a-zA-Z0-9][a-zA-Z0-9.-]*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?$/;

/** `localhost/acme/app:v1` or `localhost/acme/app@sha256:…`. */
export function printImageName(name: RepositoryName, reference: Reference): string {
  return `${host}/${name}${reference.kind === 'tag' ? ':' : '@'}${printReference(reference)}`;
}

/** Repository and tag of a whole name, without its host; `undefined` if it is no such name. */
export function parseImageName(text: string): { repository: RepositoryName; tag?: Tag } | undefined {
  const [named = ''] = text.split('@', 1);
  const colon = named.indexOf(':', named.lastIndexOf('/') + 1);
  const tag = colon === -1 ? undefined : asTag(named.slice(colon + 1));
  if (colon !== -1 && tag === undefined) return undefined;
  const repository = asName(withoutHost(colon === -1 ? named : named.slice(0, colon)));
  return repository && { repository, ...(tag !== undefined && { tag }) };
}

/** Docker's rule: the first of several components is a host if it has a dot or a port, or is `localhost`. */
function withoutHost(name: string): string {
  const slash = name.indexOf('/');
  const first = name.slice(0, Math.max(slash, 0));
  if (first !== host && !(/[.:]/.test(first) && hostPattern.test(first))) return name;
  const path = name.slice(slash + 1);
  return first === 'docker.io' ? path.replace(/^library\//, '') : path;
}
