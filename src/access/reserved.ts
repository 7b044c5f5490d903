import type { Namespace } from '../oci/name.ts';

/** Holds copies of Docker Hub's official images. Like names of one component, only administrators have rights in it. */
export const reserved = 'library' as Namespace;
