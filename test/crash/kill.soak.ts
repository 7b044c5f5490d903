// `npm run test:soak`: the same as kill.test.ts for SOAK_MINUTES, 10 by default.
import { test } from 'node:test';
import { killUnderLoad } from './kill-under-load.ts';

const end = performance.now() + Number(process.env.SOAK_MINUTES ?? 10) * 60_000;

test('loses nothing acknowledged when killed at random under long load', async (t) => {
  await killUnderLoad(t, () => performance.now() < end);
});
