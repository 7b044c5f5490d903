/** The four manifest media types, for `Accept`. */
const accept = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.docker.distribution.manifest.v2+json',
].join(', ');

export interface ManifestHead {
  readonly status: number;
  readonly mediaType: string | null;
  readonly digest: string | null;
}

/** Requests the media type and digest of a manifest, to check what a client pushed. */
export async function headManifest(
  url: string,
  name: string,
  reference: string,
  authorization?: string,
): Promise<ManifestHead> {
  const response = await fetch(`${url}/v2/${name}/manifests/${reference}`, {
    method: 'HEAD',
    headers: { accept, ...(authorization !== undefined && { authorization }) },
  });
  const { headers, status } = response;
  return { status, mediaType: headers.get('content-type'), digest: headers.get('docker-content-digest') };
}
