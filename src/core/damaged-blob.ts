import type { Digest } from '../oci/digest.ts';
import { RegistryError } from '../oci/errors.ts';

/** The error for a request that needs the bytes of a blob that is marked as damaged: a fault of the registry (500). */
export function damagedBlob(digest: Digest): RegistryError {
  return new RegistryError('UNKNOWN', undefined, {
    message: `the registry's copy of blob ${digest} is damaged; push the image again to repair it`,
    cause: new Error(`blob ${digest} is damaged; \`berth scrub status\` lists the affected images`),
  });
}
