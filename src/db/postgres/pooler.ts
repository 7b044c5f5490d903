import { Client } from 'pg';
import { clientConfig, ignoreErrors } from './session.ts';

/** Milliseconds to wait for a second session; where there is none to be had, the first one is ours alone. */
const patience = 3_000;
const rounds = 3;

/**
 * Whether a pooler between Berth and PostgreSQL gives each transaction whichever server process is free. It shows in the ids of
 * these: a session's own stays the same and is no other's for as long as both are open. An idle pooler gives two sessions the
 * process that was used last, or goes round them; a busy one mixes them anyhow.
 *
 * @param session open, and not in a transaction
 */
export async function isPooledByTransaction(session: Client, url: string): Promise<boolean> {
  const first = await backendOf(session);
  // What the server said when it was connected to is its own id; a pooler makes one up, in every mode.
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
