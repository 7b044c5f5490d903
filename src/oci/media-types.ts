/** Media types that a manifest PUT accepts; others are rejected. */
export const ociImageManifest = 'application/vnd.oci.image.manifest.v1+json';
export const ociImageIndex = 'application/vnd.oci.image.index.v1+json';
export const dockerManifest = 'application/vnd.docker.distribution.manifest.v2+json';
export const dockerManifestList = 'application/vnd.docker.distribution.manifest.list.v2+json';

/** Of the config and of uncompressed layers of OCI images. */
export const ociImageConfig = 'application/vnd.oci.image.config.v1+json';
export const ociLayer = 'application/vnd.oci.image.layer.v1.tar';

const kinds: Readonly<Record<string, 'image' | 'index'>> = {
  [ociImageManifest]: 'image',
  [dockerManifest]: 'image',
  [ociImageIndex]: 'index',
  [dockerManifestList]: 'index',
};

export const manifestMediaTypes: readonly string[] = Object.keys(kinds);

/** The kind of manifest of a media type; `undefined` if it is not a manifest type. */
export function manifestKind(mediaType: string): 'image' | 'index' | undefined {
  return Object.hasOwn(kinds, mediaType) ? kinds[mediaType] : undefined;
}

/** Docker's first manifest format, signed JSON without digests of its content, which no client uses any more. */
export function isDockerSchema1(mediaType: string): boolean {
  return mediaType.startsWith('application/vnd.docker.distribution.manifest.v1');
}

/** Whether a layer may be missing in the registry (OCI `nondistributable`, Docker `foreign`). */
export function isNonDistributable(mediaType: string): boolean {
  return mediaType.includes('nondistributable') || mediaType.includes('.foreign.');
}
