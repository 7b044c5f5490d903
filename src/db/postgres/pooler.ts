import { Client } from 'pg';
import { clientConfig, ignoreErrors } from './session.ts';

/** Milliseconds to wait for a second session; if there is none, the first one has its own server process. */
const patience = 3_000;
const rounds = 3;

/**
 * Whether a pooler between Berth and PostgreSQL assigns server processes per transaction. Detected by the ids of the processes: without
 * such a pooler, each of two open sessions always has the same process, different from the other's. An idle pooler gives both the last
 * used process, or rotates; a busy one mixes them.
 *
 * @param session open and outside a transaction
 */
export async function isPooledByTransaction(session: Client, url: string): Promise<boolean> {
  const first = await backendOf(session);
  // A server sends its own process id on connecting; a pooler sends an invented one, in every mode.
  if (first === (session as Client & { readonly processID: number }).processID) return false;
  const other = new Client({
    ...clientConfig(url),
    connectionTimeoutMillis: patience,
    query_timeout: patience,
  });
  ignoreErrors(other);
  try {
    await other.connect();
    for (let round = 0; round < rounds; round++) {
      const ids = [await backendOf(session), await backendOf(session), await backendOf(other)];
      if (ids[0] !== first || ids[1] !== first || ids[2] === first) return true;
    }
    return false;
  } catch {
    return false;
  } finally {
    other.end().catch(() => {});
  }
}

async function backendOf(client: Client): Promise<number> {
  const { rows } = await client.query<{ id: number }>('select pg_backend_pid() as id');
  return rows[0]?.id as number;
}
