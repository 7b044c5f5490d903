import type { Gauges } from '../../src/telemetry/gauges.ts';

/** What the gauges show of a registry that has nothing. */
export const noGauges: Gauges = {
  version: '1.2.3',
  uploadsOpen: async () => 0,
  blobsParked: async () => 0,
  stored: async () => undefined,
  freeBytes: async () => undefined,
  connections: () => undefined,
  jobsEnded: async () => [],
};
