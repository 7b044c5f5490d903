import { test } from 'node:test';
import { killUnderLoad } from './kill-under-load.ts';

test('killed at random times under load, it loses nothing that it acknowledged', async (t) => {
  await killUnderLoad(t, (round) => round < 16);
});

test('with several workers, whose primary is killed, no less', async (t) => {
  await killUnderLoad(t, (round) => round < 8, ['--workers', '2']);
});
