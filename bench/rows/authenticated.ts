import { type Bench, inTurn, type Row, samplesOf } from '../bench.ts';
import { startFresh } from '../launch.ts';
import type { Columns } from '../line.ts';
import { basicAuthorization, RegistryClient } from '../load/client.ts';
import { MANIFEST_TYPE, pushImage } from '../load/push.ts';
import { berthWith, type Peer, startBerth } from '../peers.ts';
import { wrk } from '../wrk.ts';

const COLUMNS: Columns = ['with a token', 'anonymous'];
const NAME = 'bench/image';
const TAG = 'latest';
const CONNECTIONS = 16;
const WARM_UP_SECONDS = 1;
const PASSWORD = 'benchmark-password';
const ADMINISTRATOR = basicAuthorization('admin', PASSWORD);

const startClosed = berthWith({
  args: ['--allow-anonymous', 'none'],
  env: { BERTH_ADMIN_PASSWORD: PASSWORD },
  probe: '/healthz',
});

/** The cost of authentication: an open registry, and one that requires a token. */
export const authenticated: Row = {
  name: 'manifest-get-authenticated',
  async measure(bench) {
    await using open = await startFresh(startBerth, bench.disk, bench.signal);
    await using closed = await startFresh(startClosed, bench.disk, bench.signal);
    using openClient = new RegistryClient(open.url);
    using closedClient = new RegistryClient(closed.url);
    closedClient.authorization = ADMINISTRATOR;
    for (const client of [openClient, closedClient]) await pushImage(client, NAME, TAG);

    const ways = [
      { name: 'with a token', peer: closed, authorization: () => fetchToken(closedClient) },
      { name: 'anonymous', peer: open, authorization: async () => undefined },
    ] as const;
    for (const { peer, authorization } of ways) {
      await getManifests(bench, peer, WARM_UP_SECONDS, await authorization());
    }
    const runs = await inTurn(bench, ways, async ({ peer, authorization }) =>
      getManifests(bench, peer, bench.sizes.requestSeconds, await authorization()),
    );
    return [
      {
        columns: COLUMNS,
        title: `GET manifest by tag, ${CONNECTIONS} connections, with a token or none`,
        unit: 'requests/s',
        better: 'higher',
        samples: samplesOf(runs, (rate) => rate),
        target: { kind: 'ratio', to: 'anonymous', atLeast: 0.85 },
      },
    ];
  },
};

/** Fetches a new token for each run, as tokens expire after minutes. */
async function fetchToken(client: RegistryClient): Promise<string> {
  const path = `/auth/token?service=berth&scope=repository:${NAME}:pull`;
  const { body } = await client.request('GET', path, { expect: 200 });
  return `Bearer ${JSON.parse(body.toString()).token}`;
}

async function getManifests(
  bench: Bench,
  peer: Peer,
  seconds: number,
  authorization: string | undefined,
): Promise<number> {
  const urls = [`${peer.url}/v2/${NAME}/manifests/${TAG}`];
  const options = { urls, connections: CONNECTIONS, seconds, accept: MANIFEST_TYPE, signal: bench.signal };
  const { requestsPerSecond } = await wrk({ ...options, ...(authorization && { authorization }) });
  return requestsPerSecond;
}
