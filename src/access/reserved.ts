import type { Namespace } from '../oci/name.ts';

/** The namespace of copies of Docker Hub's official images. Only administrators have rights in it, as in names of one component. */
export const reserved = 'library' as Namespace;
