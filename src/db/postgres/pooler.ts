import { Client } from 'pg';
import { clientConfig, ignoreErrors } from './session.ts';

/** Milliseconds to wait for a second session. If it gets no server process, the first session holds its own. */
const patience = 3_000;
const rounds = 3;

/**
 * Whether a pooler between Berth and PostgreSQL assigns server processes per transaction. Opens a second session and compares the ids
 * of the server processes. Without such a pooler, each session keeps a process of its own. An idle pooler gives both sessions the
 * process used last, or its processes in turn; a busy one gives them any process.
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
