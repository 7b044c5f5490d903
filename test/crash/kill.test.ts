import { test } from 'node:test';
import { killUnderLoad } from './kill-under-load.ts';

test('killed at random times under load, it loses nothing that it acknowledged', async (t) => {
  await killUnderLoad(t, (round) => round < 16);
});
