// Tags whose name is the digest of another manifest: the fallback of clients without the referrers API, and those of cosign.
import { asDigest, type Digest } from './digest.ts';
import { fallbackTag, type Tag } from './reference.ts';

const suffixes = ['', '.sig', '.att', '.sbom'];
const form = /^sha256-([0-9a-f]{64})(?:\.(?:sig|att|sbom))?$/;

/** The tags with signatures, attestations and other parts of a manifest, existing or not. */
export function partTagsOf(digest: Digest): Tag[] {
  return suffixes.map((suffix) => `${fallbackTag(digest)}${suffix}` as Tag);
}

/** The manifest whose part the tag is by its name; `undefined` for other tags. */
export function wholeOf(tag: Tag): Digest | undefined {
  const [, hex] = form.exec(tag) ?? [];
  return hex === undefined ? undefined : asDigest(`sha256:${hex}`);
}
