import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { examine } from '../support/fsck.ts';
import { type BerthProcess, startBerth } from '../support/process.ts';
import { replayChanges } from '../support/replay-changes.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { clientOf } from './http-client.ts';
import { Ledger } from './ledger.ts';
import { Writer } from './writer.ts';

const writers = 6;
const longestRound = 500;

/**
 * Repeatedly kills the registry at random times while several clients write to one data directory. After each kill, fsck finds no
 * error, and the next process serves everything that was acknowledged.
 */
export async function killUnderLoad(
  t: TestContext,
  shouldContinue: (round: number) => boolean,
  args: readonly string[] = [],
): Promise<void> {
  const data = await temporaryDirectory(t);
  const ledger = new Ledger();
  const clients = Array.from({ length: writers }, (_, i) => new Writer(`writer/${i}`, ledger));
  let round = 0;
  for (; shouldContinue(round); round++) {
    const berth = await startBerth(t, { data, args });
    await ledger.check(clientOf(berth.url), 'recent');
    await writeAndKill(berth, clients, () => ledger.acknowledged > 4 * (round + 1) * writers);
    await assertClean(data);
    await assertRecorded(data, ledger);
  }
  const berth = await startBerth(t, { data, args });
  await ledger.check(clientOf(berth.url), 'everything');
  await berth.stop();
  const { walked } = await assertClean(data);
  const resumed = clients.reduce((sum, client) => sum + client.resumed, 0);
  t.diagnostic(
    `${round} kills: ${ledger.acknowledged} acknowledged writes, ${ledger.unknown} cut short, ${resumed} uploads resumed`,
  );
  assert.ok(ledger.acknowledged > round * writers, 'too few writes were acknowledged');
  assert.ok(ledger.unknown > 0, 'no write was ever cut short');
  assert.ok(walked.blobs > round && walked.manifests > round);
}

/** @param isEnough whether enough was written so far: a slow machine writes longer before the kill */
async function writeAndKill(
  berth: BerthProcess,
  clients: readonly Writer[],
  isEnough: () => boolean,
): Promise<void> {
  const writing = Promise.all(clients.map((client) => client.run(clientOf(berth.url))));
  // A writer ends when the server stops answering; one that ends earlier has failed an assertion.
  let ended = false;
  const enough = async (): Promise<void> => {
    await delay(randomInt(longestRound));
    while (!isEnough() && !ended) await delay(10);
  };
  await Promise.race([writing, enough()]).finally(() => {
    ended = true;
  });
  const { signal } = await berth.stop('SIGKILL');
  await writing;
  assert.equal(signal, 'SIGKILL', berth.output());
}

/** Asserts that each acknowledged write has its change row, and that the changes agree with the content. */
async function assertRecorded(data: string, { requests }: Ledger): Promise<void> {
  const recorded = await replayChanges(data);
  assert.deepEqual([...requests.difference(recorded)], []);
}

async function assertClean(data: string) {
  const examination = await examine(data);
  const errors = examination.findings.filter((finding) => finding.severity === 'error');
  assert.deepEqual([examination.exitCode, errors], [0, []]);
  return examination;
}
