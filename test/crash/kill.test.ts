import { test } from 'node:test';
import { killUnderLoad } from './kill-under-load.ts';

test('loses nothing acknowledged when killed at random under load', async (t) => {
  await killUnderLoad(t, (round) => round < 8);
});

test('loses nothing acknowledged when the primary of several workers is killed', async (t) => {
  await killUnderLoad(t, (round) => round < 4, ['--workers', '2']);
});
