import { setTimeout as delay } from 'node:timers/promises';
import { type Answer, digestOf } from '../support/inject.ts';
import { Unsettled } from './ledger.ts';
import type { Visitor } from './visitor.ts';

/** Milliseconds between two attempts while another request writes, or is thought to. */
const pause = 300;

/**
 * Pushes in chunks, each to whichever replica is next, and goes on from wherever the registry says it stands. What was
 * acknowledged has to be there: a session is never forgotten, and never goes back.
 */
export async function pushInChunks(
  visitor: Visitor,
  name: string,
  bytes: Buffer,
  chunk: number,
): Promise<void> {
  const { client, ledger } = visitor;
  const session = await visitor.settled(() => client.openUpload(name));
  const url = `/v2/${name}/blobs/${digestOf(bytes)}`;
  const complain = (problem: string) => ledger.report(`${visitor.name}: upload ${session}: ${problem}`);
  let acknowledged = 0;
  let sent = 0;

  /** Where it stands; `undefined`: there is no session any more. */
  const standing = async (): Promise<number | undefined> => {
    const status = await visitor.settled(() => client.get(session));
    if (status.status === 404) return undefined;
    const stored = storedBytes(status);
    if (stored < acknowledged) complain(`${stored} bytes are left of ${acknowledged} that were acknowledged`);
    if (stored > sent) complain(`${stored} bytes are said to be stored, ${sent} were sent`);
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
        complain(`after ${acknowledged} bytes it is said to be at ${answer.headers.range}`);
      continue;
    }
    // 416: somebody writes, who may be an attempt of ours that was cut.
    if (answer !== undefined && answer.status !== 416 && answer.status !== 400) {
      return complain(`a chunk was answered ${answer.status} ${answer.body}`);
    }
    await delay(pause);
    const stored = await standing();
    if (stored === undefined) return complain('it was forgotten');
    acknowledged = stored;
  }

  for (;;) {
    const answer = await attempt(() =>
      ledger.write({ [url]: bytes }, () => client.finish(session, digestOf(bytes))),
    );
    if (answer?.status === 201) return;
    if (answer !== undefined && answer.status !== 416 && answer.status !== 404) {
      return complain(`its end was answered ${answer.status} ${answer.body}`);
    }
    await delay(pause);
    if ((await standing()) !== undefined) continue;
    // The session ends when the blob is there: an attempt that was not answered was done.
    if ((await visitor.look(url)).status !== 200) complain('it is gone, and there is no blob');
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
  // No bytes at all look like one.
  return last === 0 ? 0 : last + 1;
}
