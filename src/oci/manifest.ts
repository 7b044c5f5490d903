import { asDigest, type Digest, quote } from './digest.ts';
import { RegistryError } from './errors.ts';
import { readStrictJson } from './json.ts';
import { isDockerSchema1, isNonDistributable, manifestKind, manifestMediaTypes } from './media-types.ts';
import { runSteps, type Steps } from './steps.ts';

/** A reference to content in a manifest (OCI image spec, "Content Descriptors"). */
export interface Descriptor {
  /** `''` if absent, as in some old images. */
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
  /** `os/architecture` or `os/architecture/variant`, if given; a platform with other characters than names have is ignored. */
  readonly platform?: string;
}

/** The fields of a manifest that the registry uses; the bytes are stored and served unchanged. */
export interface Manifest {
  readonly mediaType: string;
  readonly kind: 'image' | 'index';
  readonly config: Descriptor | undefined;
  /** All layers, in order. */
  readonly layers: readonly Descriptor[];
  /** Config and layers that the repository must hold, without non-distributable layers. */
  readonly blobs: readonly Descriptor[];
  /** An index's entries: usually manifests; in BuildKit's cache exports, layers. */
  readonly children: readonly Descriptor[];
  readonly subject: Descriptor | undefined;
  /** The manifest's `artifactType`, else an image's config media type (distribution spec, end-12). */
  readonly artifactType: string | undefined;
  readonly annotations: Readonly<Record<string, string>> | undefined;
}

const maxReferences = 10_000;
/** RFC 6838, 4.2: type and subtype have at most 127 characters each. The database indexes it, to find referrers. */
export const maxArtifactType = 255;

/** {@link readManifest} without pauses between its steps. */
export function parseManifest(bytes: Uint8Array, contentType: string | undefined): Manifest {
  return runSteps(readManifest(bytes, contentType));
}

/**
 * Parses a manifest: `bytes` is the body, `contentType` the request's header. Ignores unknown fields. Rejects documents that clients
 * could read in two ways (an image that is also an index, keys in another case, …). A null field counts as absent, as in Go's
 * `encoding/json`, because some clients write absent fields as null.
 *
 * @throws RegistryError `MANIFEST_INVALID`, or `DIGEST_INVALID` for a descriptor's digest
 */
export function* readManifest(bytes: Uint8Array, contentType: string | undefined): Steps<Manifest> {
  const document = asObject(yield* readStrictJson(bytes), 'the manifest');
  yield;
  refuseFoldedKeys(document, documentFields, 'the manifest');
  const mediaType = agreeOnMediaType(contentType, document.mediaType ?? undefined);
  const kind = manifestKind(mediaType);
  if (kind === undefined) throw invalid(mediaTypeProblem(mediaType));
  // CVE-2021-41190: no document may be both an image and an index.
  const forbidden = kind === 'image' ? ['manifests'] : ['config', 'layers'];
  for (const field of forbidden) {
    if (!isAbsent(document[field]))
      throw invalid(`an ${kind === 'image' ? 'image manifest' : 'index'} cannot have "${field}"`);
  }
  if (document.schemaVersion !== 2)
    throw invalid(`"schemaVersion" must be 2, found ${show(document.schemaVersion)}`);

  const config = kind === 'image' ? parseDescriptor(document.config, 'config') : undefined;
  const layers = kind === 'image' ? parseDescriptors(document.layers, 'layers') : [];
  const children = kind === 'index' ? parseDescriptors(document.manifests, 'manifests') : [];
  yield;
  return {
    mediaType,
    kind,
    config,
    layers,
    blobs: [...(config ? [config] : []), ...layers.filter((layer) => !isNonDistributable(layer.mediaType))],
    children,
    subject: isAbsent(document.subject) ? undefined : parseDescriptor(document.subject, 'subject'),
    artifactType: artifactTypeOf(document.artifactType, config),
    annotations: parseAnnotations(document.annotations),
  };
}

const documentFields = byFoldedName([
  'schemaVersion',
  'mediaType',
  'artifactType',
  'config',
  'layers',
  'manifests',
  'subject',
  'annotations',
]);
const descriptorFields = byFoldedName([
  'mediaType',
  'digest',
  'size',
  'urls',
  'data',
  'annotations',
  'platform',
  'artifactType',
]);

function byFoldedName(fields: readonly string[]): ReadonlyMap<string, string> {
  return new Map(fields.map((field) => [foldCase(field), field]));
}

/** Folds case like Go's decoder, which also matches `ſ` (U+017F) with `s`; `toLowerCase` alone would keep `ſ`. */
function foldCase(key: string): string {
  return key.toUpperCase().toLowerCase();
}

/** `Content-Type` (without parameters) and the manifest's `mediaType` must be equal where both are given. */
function agreeOnMediaType(contentType: string | undefined, inner: unknown): string {
  if (inner !== undefined && typeof inner !== 'string') throw invalid('"mediaType" must be a string');
  const outer = contentType?.split(';', 1)[0]?.trim().toLowerCase();
  if (outer && inner && outer !== inner) {
    throw invalid(`Content-Type is ${quote(outer)}, "mediaType" in the manifest is ${quote(inner)}`);
  }
  const mediaType = outer || inner;
  if (!mediaType)
    throw invalid('the manifest has no media type: neither Content-Type nor "mediaType" is given');
  return mediaType;
}

function mediaTypeProblem(mediaType: string): string {
  return isDockerSchema1(mediaType)
    ? 'Docker image manifest schema 1 is not accepted; push with Docker 1.10 or newer, which uses schema 2'
    : `${quote(mediaType)} is not a manifest type; accepted are ${manifestMediaTypes.join(', ')}`;
}

function parseDescriptors(value: unknown, field: string): Descriptor[] {
  if (value === undefined) throw invalid(`"${field}" is missing`);
  // Null is an empty list here, not an absent field, because Go clients write an empty list as null.
  if (value === null) return [];
  if (!Array.isArray(value)) throw invalid(`"${field}" must be a list`);
  if (value.length > maxReferences) {
    throw invalid(`"${field}" has ${value.length} entries; at most ${maxReferences} are accepted`);
  }
  return value.map((item, i) => parseDescriptor(item, `${field}[${i}]`));
}

function parseDescriptor(value: unknown, field: string): Descriptor {
  const descriptor = asObject(value, `"${field}"`);
  refuseFoldedKeys(descriptor, descriptorFields, `"${field}"`);
  const { digest, size } = descriptor;
  const mediaType = parseMediaType(descriptor.mediaType, `${field}.mediaType`);
  if (typeof digest !== 'string') throw invalid(`"${field}.digest" must be a digest`);
  const parsed = asDigest(digest);
  if (parsed === undefined) {
    throw new RegistryError('DIGEST_INVALID', `"${field}.digest" is not a digest: ${show(digest)}`);
  }
  if (!Number.isSafeInteger(size) || (size as number) < 0) {
    throw invalid(`"${field}.size" must be a whole number of bytes, found ${show(size)}`);
  }
  const platform = platformOf(descriptor.platform);
  return { mediaType, digest: parsed, size: size as number, ...(platform !== undefined && { platform }) };
}

const platformPart = /^[\w.-]{1,64}$/;

/** The platform of a descriptor or of an image's config, printed as in {@link Descriptor.platform}. */
export function platformOf(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { os, architecture, variant } = value as Record<string, unknown>;
  const parts = isAbsent(variant) || variant === '' ? [os, architecture] : [os, architecture, variant];
  const isValid = parts.every((part) => typeof part === 'string' && platformPart.test(part));
  return isValid ? parts.join('/') : undefined;
}

function artifactTypeOf(value: unknown, config: Descriptor | undefined): string | undefined {
  const artifactType = parseMediaType(value, 'artifactType') || config?.mediaType || undefined;
  if (artifactType === undefined || artifactType.length <= maxArtifactType) return artifactType;
  throw invalid(`the artifact type ${quote(artifactType)} is longer than ${maxArtifactType} characters`);
}

/** A media type; `''` if absent. */
function parseMediaType(value: unknown, field: string): string {
  if (isAbsent(value)) return '';
  // PostgreSQL accepts no NUL in text.
  if (typeof value !== 'string' || value.includes('\0')) throw invalid(`"${field}" must be a media type`);
  return value;
}

function parseAnnotations(value: unknown): Record<string, string> | undefined {
  if (isAbsent(value)) return undefined;
  const annotations = asObject(value, '"annotations"');
  for (const [key, text] of Object.entries(annotations)) {
    // Go reads a null string as an empty one.
    if (text === null) annotations[key] = '';
    else if (typeof text !== 'string')
      throw invalid(`the value of ${quote(key)} in "annotations" must be a string`);
  }
  return annotations as Record<string, string>;
}

function isAbsent(value: unknown): value is undefined | null {
  return value === undefined || value === null;
}

function asObject(value: unknown, what: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalid(`${what} must be a JSON object`);
  }
  return value as Record<string, unknown>;
}

/** Rejects keys in another case: Go reads `"Layers"` as `"layers"`, JavaScript does not, so the document has two meanings. */
function refuseFoldedKeys(
  object: Record<string, unknown>,
  fields: ReadonlyMap<string, string>,
  what: string,
): void {
  for (const key of Object.keys(object)) {
    const field = fields.get(foldCase(key));
    if (field !== undefined && field !== key)
      throw invalid(`${what} has the key ${quote(key)}, which must be spelled "${field}"`);
  }
}

function show(value: unknown): string {
  return value === undefined ? 'nothing' : quote(String(JSON.stringify(value)));
}

function invalid(detail: string): RegistryError {
  return new RegistryError('MANIFEST_INVALID', detail);
}
