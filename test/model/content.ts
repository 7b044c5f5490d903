// The content that the model's clients push: few items, so that commands often meet the same ones.
import { digestOf } from '../faults/consistency.ts';

export const repositories = ['a/b', 'a-b/c', 'a/d'] as const;
/** The names of organisations. */
export const namespaces = ['a', 'a-b'] as const;
export const tags = ['1.0.0', '1.0.0-rc'] as const;

export interface Blob {
  readonly digest: string;
  readonly bytes: Buffer<ArrayBuffer>;
}

export const blobs: readonly Blob[] = [0, 1, 1_000, 70_000].map((size, i) => {
  const bytes = Buffer.alloc(size, `blob ${i}`);
  return { bytes, digest: digestOf(bytes) };
});

/** Bytes of each blob, by its digests of both algorithms. */
export const sizes: ReadonlyMap<string, number> = new Map(
  blobs.flatMap(({ digest, bytes }) => [
    [digest, bytes.length] as const,
    [digestOf(bytes, 'sha512'), bytes.length] as const,
  ]),
);

export interface Manifest {
  readonly digest: string;
  readonly bytes: Buffer<ArrayBuffer>;
  readonly mediaType: string;
  /** Digests of the blobs that its repository must hold. */
  readonly needs: readonly string[];
  /** Digests of the manifests that it lists. */
  readonly children: readonly string[];
  readonly subject: string | undefined;
  /** The type that a referrers listing shows and filters by. */
  readonly artifactType: string | undefined;
}

const imageType = 'application/vnd.oci.image.manifest.v1+json';
const indexType = 'application/vnd.oci.image.index.v1+json';
const configType = 'application/vnd.oci.image.config.v1+json';

function describe({ digest, bytes }: Blob, mediaType: string): object {
  return { mediaType, digest, size: bytes.length };
}

function manifestOf(
  mediaType: string,
  fields: object,
  rest: Omit<Manifest, 'digest' | 'bytes' | 'mediaType'>,
): Manifest {
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, ...fields }));
  return { bytes, digest: digestOf(bytes), mediaType, ...rest };
}

function image(blobIndices: readonly number[], subject?: Manifest, artifactType?: string): Manifest {
  const [config, ...layers] = blobIndices.map((i) => blobs[i] as Blob) as [Blob, ...Blob[]];
  const fields = {
    config: describe(config, configType),
    layers: layers.map((layer) => describe(layer, 'application/vnd.oci.image.layer.v1.tar')),
    ...(artifactType && { artifactType }),
    ...(subject && { subject: describe(subject, subject.mediaType) }),
  };
  return manifestOf(imageType, fields, {
    needs: [config, ...layers].map((blob) => blob.digest),
    children: [],
    subject: subject?.digest,
    artifactType: artifactType ?? configType,
  });
}

function index(children: readonly Manifest[], subject?: Manifest): Manifest {
  const fields = {
    manifests: children.map((child) => describe(child, child.mediaType)),
    ...(subject && { subject: describe(subject, subject.mediaType) }),
  };
  // Children may be missing.
  const listed = children.map(({ digest }) => digest);
  return manifestOf(indexType, fields, {
    ...{ needs: [], children: listed, subject: subject?.digest, artifactType: undefined },
  });
}

const base = image([1, 2]);
const other = image([2, 3, 3, 0]);

export const manifests: readonly Manifest[] = [
  base,
  other,
  image([1], base, 'application/vnd.example.signature'),
  image([0], base),
  image([1], other, 'application/vnd.example.signature'),
  index([base, other]),
  index([index([base])], base),
];
