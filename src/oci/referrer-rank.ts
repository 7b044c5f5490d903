/**
 * Prefixes of artifact types, most important first. Some clients read only the first page of referrers, and reject an image if its
 * signature or attestation is not on that page.
 */
const ranks: readonly (readonly string[])[] = [
  [
    'application/vnd.dev.cosign.artifact.sig.',
    'application/vnd.dev.cosign.simplesigning.',
    // A signature or an attestation.
    'application/vnd.dev.sigstore.bundle',
    'application/vnd.cncf.notary.signature',
  ],
  ['application/vnd.dev.cosign.artifact.att.', 'application/vnd.in-toto', 'application/vnd.dsse.envelope'],
];

/**
 * The rank of an artifact type in a listing of referrers: 0 for signatures, 1 for attestations, 2 for others. Stored with each
 * manifest, so a change of the prefixes needs a migration.
 */
export function referrerRank(artifactType: string | null): number {
  const rank = ranks.findIndex((prefixes) => prefixes.some((prefix) => artifactType?.startsWith(prefix)));
  return rank === -1 ? ranks.length : rank;
}
