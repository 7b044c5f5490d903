import { inTurns } from '../../db/in-turns.ts';
import { type Digest, digestAlgorithm } from '../../oci/digest.ts';
import { RegistryError } from '../../oci/errors.ts';
import { type Manifest, readManifest } from '../../oci/manifest.ts';
import { isDockerSchema1, ociImageIndex, ociImageManifest } from '../../oci/media-types.ts';
import { blobKey } from '../../storage/blob-store.ts';
import { StoreUnavailable } from '../../storage/store-errors.ts';
import { FileTooLarge } from '../../storage/store-tree.ts';
import { digestBytes } from '../running-hash.ts';
import type { FindingKind } from './finding.ts';
import type { AdoptParts } from './parts.ts';

export interface WholeManifest {
  readonly digest: Digest;
  readonly bytes: Buffer;
  readonly manifest: Manifest;
}

export interface Unusable {
  readonly kind: FindingKind;
  readonly problem: string;
}

/** Reads a manifest from its blob, and checks digest and content as a push does. @throws StoreUnavailable */
export async function readWholeManifest(
  { tree, maxManifest }: Pick<AdoptParts, 'tree' | 'maxManifest'>,
  digest: Digest,
): Promise<WholeManifest | Unusable> {
  const key = blobKey(digest, 0);
  let bytes: Buffer | undefined;
  try {
    bytes = await tree.read(key, maxManifest);
  } catch (error) {
    if (error instanceof StoreUnavailable) throw error;
    if (error instanceof FileTooLarge)
      return { kind: 'manifest-large', problem: `${error.message} (the setting manifests.maxSize)` };
    return { kind: 'manifest-unreadable', problem: `cannot read its blob: ${(error as Error).message}` };
  }
  if (bytes === undefined) return { kind: 'manifest-missing', problem: `its blob ${key} is missing` };
  const actual = digestBytes(digestAlgorithm(digest), bytes);
  if (actual !== digest) {
    const found = bytes.length === 0 ? 'is empty' : `has the digest ${actual}`;
    return { kind: 'manifest-content', problem: `its blob ${key} ${found}` };
  }
  const document = parseObject(bytes);
  if (document.schemaVersion === 1 || isDockerSchema1(String(document.mediaType))) {
    const problem = 'Docker image manifest schema 1, which no client uses any more; push the image again';
    return { kind: 'manifest-schema1', problem };
  }
  try {
    return { digest, bytes, manifest: await inTurns(readManifest(bytes, mediaTypeOf(document))) };
  } catch (error) {
    if (!(error instanceof RegistryError)) throw error;
    return { kind: 'manifest-invalid', problem: `not a manifest: ${String(error.detail)}` };
  }
}

/** The media type of a manifest without the field, as in the first version of OCI; the tree does not record it. */
function mediaTypeOf(document: Record<string, unknown>): string | undefined {
  if (typeof document.mediaType === 'string' && document.mediaType !== '') return undefined;
  return 'manifests' in document ? ociImageIndex : ociImageManifest;
}

function parseObject(bytes: Buffer): Record<string, unknown> {
  try {
    return Object(JSON.parse(bytes.toString('utf8')));
  } catch {
    return {};
  }
}
