import type { Gauges } from '../../src/telemetry/gauges.ts';

/** Gauges of an empty registry. */
export const noGauges: Gauges = {
  version: '1.2.3',
  uploadsOpen: async () => 0,
  blobsParked: async () => 0,
  blobsDamaged: async () => 0,
  blobsUnreadable: async () => 0,
  manifestsDamaged: async () => 0,
  garbageQueues: async () => ({}),
  stored: async () => undefined,
  freeBytes: async () => undefined,
  connections: () => undefined,
  jobsEnded: async () => [],
};
