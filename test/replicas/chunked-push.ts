import { setTimeout as delay } from 'node:timers/promises';
import { type Answer, digestOf } from '../support/inject.ts';
import { Unsettled } from './ledger.ts';
import type { RetryingClient } from './retrying-client.ts';

/** Milliseconds between two attempts while another request holds the session, or may hold it. */
const pause = 300;

/**
 * Pushes in chunks, each to the next replica, and continues after the bytes that the registry reports as stored. Reports a problem
 * if the registry loses the session or an acknowledged byte of it.
 */
export async function pushInChunks(
  retrying: RetryingClient,
  name: string,
  bytes: Buffer,
  chunk: number,
): Promise<void> {
  const { client, ledger } = retrying;
  const session = await retrying.untilSettled(() => client.openUpload(name));
  const url = `/v2/${name}/blobs/${digestOf(bytes)}`;
  const complain = (problem: string) => ledger.report(`${retrying.name}: upload ${session}: ${problem}`);
  let acknowledged = 0;
  let sent = 0;

  /** The number of stored bytes; `undefined`: the session is gone. */
  const countStored = async (): Promise<number | undefined> => {
    const status = await retrying.untilSettled(() => client.get(session));
    if (status.status === 404) return undefined;
    const stored = storedBytes(status);
    if (stored < acknowledged) complain(`only ${stored} of ${acknowledged} acknowledged bytes are stored`);
    if (stored > sent) complain(`${stored} bytes are reported as stored, but only ${sent} were sent`);
    return stored;
  };

  while (acknowledged < bytes.length) {
    const first = acknowledged;
    const last = Math.min(first + chunk, bytes.length) - 1;
    sent = Math.max(sent, last + 1);
    const answer = await attempt(() =>
      client.patch(session, bytes.subarray(first, last + 1), `${first}-${last}`),
    );
    if (answer?.status === 202) {
      acknowledged = last + 1;
      if (storedBytes(answer) !== acknowledged)
        complain(`after ${acknowledged} bytes the answer has the range ${answer.headers.range}`);
      continue;
    }
    // 416: another request holds the session, perhaps an interrupted attempt of this client.
    if (answer !== undefined && answer.status !== 416 && answer.status !== 400) {
      return complain(`a chunk was answered ${answer.status} ${answer.body}`);
    }
    await delay(pause);
    const stored = await countStored();
    if (stored === undefined) return complain('the session is gone');
    acknowledged = stored;
  }

  for (;;) {
    const answer = await attempt(() =>
      ledger.write({ [url]: bytes }, () => client.finish(session, digestOf(bytes))),
    );
    if (answer?.status === 201) return;
    if (answer !== undefined && answer.status !== 416 && answer.status !== 404) {
      return complain(`the closing PUT was answered ${answer.status} ${answer.body}`);
    }
    await delay(pause);
    if ((await countStored()) !== undefined) continue;
    // The session ends when the blob is stored, so an unanswered attempt has succeeded.
    if ((await retrying.read(url)).status !== 200) complain('the session is gone, but the blob is missing');
    return;
  }
}

async function attempt(send: () => Promise<Answer>): Promise<Answer | undefined> {
  try {
    return await send();
  } catch (error) {
    if (error instanceof Unsettled) return undefined;
    throw error;
  }
}

function storedBytes({ headers }: Answer): number {
  const last = Number(headers.range?.split('-')[1]);
  // `0-0` stands for no bytes and for one byte.
  return last === 0 ? 0 : last + 1;
}
