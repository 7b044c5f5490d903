import { digestBytes } from '../../src/core/running-hash.ts';
import type { Digest } from '../../src/oci/digest.ts';

/** An image, distinguished by its label, that references missing blobs. */
export function makeManifest(label: string): {
  label: string;
  bytes: Buffer;
  contentType: string;
  digest: Digest;
} {
  const contentType = 'application/vnd.oci.image.manifest.v1+json';
  const config = { mediaType: 'a/b', digest: digestBytes('sha256', Buffer.from('config')), size: 6 };
  const content = { schemaVersion: 2, mediaType: contentType, annotations: { label }, config, layers: [] };
  const bytes = Buffer.from(JSON.stringify(content));
  return { label, bytes, contentType, digest: digestBytes('sha256', bytes) };
}
