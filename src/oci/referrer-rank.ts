/**
 * Prefixes of artifact types, by what a client that reads the first referrers only must not miss: it refuses an image whose
 * signature or attestation it does not see.
 */
const ranks: readonly (readonly string[])[] = [
  [
    'application/vnd.dev.cosign.artifact.sig.',
    'application/vnd.dev.cosign.simplesigning.',
    // Of a signature or of an attestation.
    'application/vnd.dev.sigstore.bundle',
    'application/vnd.cncf.notary.signature',
  ],
  ['application/vnd.dev.cosign.artifact.att.', 'application/vnd.in-toto', 'application/vnd.dsse.envelope'],
];

/**
 * Where referrers of this artifact type come in a listing: 0 for signatures, 1 for attestations, 2 for all others. Databases
 * keep it with each manifest, so a change of the table needs a migration.
 */
export function referrerRank(artifactType: string | null): number {
  const rank = ranks.findIndex((prefixes) => prefixes.some((prefix) => artifactType?.startsWith(prefix)));
  return rank === -1 ? ranks.length : rank;
}
