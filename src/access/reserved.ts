import type { Namespace } from '../oci/name.ts';

/** Docker Hub's own images are kept there: it is nobody's but the administrators', as are names of one component. */
export const reserved = 'library' as Namespace;
