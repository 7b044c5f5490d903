// A registry of a small company, for clients that log in to it.
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { type BerthProcess, runBerth, startBerth } from '../support/process.ts';

export interface Team {
  readonly registry: BerthProcess;
  /** `127.0.0.1:PORT` */
  readonly host: string;
  /** Runs a `berth` command beside the registry and gives its output. */
  berth(...args: string[]): Promise<string>;
  /** The number of requests during `action`, by route and status: `startUpload 401`. */
  countRequests(action: () => Promise<unknown>): Promise<ReadonlyMap<string, number>>;
}

/** Of the people of the company; `admin` is the administrator. */
export const passwords = {
  admin: 'the-first-administrator',
  alice: 'correct horse battery staple',
  bob: 'tr0ub4dor and three',
} as const;

/**
 * Anonymous callers may pull from public repositories. `alice` has the role write in `acme`, `bob` has none; each
 * has a namespace. `acme+ci` is a robot that may push to `acme/app` and to no other repository.
 */
export async function startTeam(t: TestContext): Promise<Team> {
  const registry = await startBerth(t, {
    args: ['--allow-anonymous', 'public'],
    env: { BERTH_ADMIN_PASSWORD: passwords.admin },
  });
  const berth = async (...args: string[]) => (await runBerth(registry.data, args)).trimEnd();
  for (const name of ['alice', 'bob'] as const) {
    await runBerth(registry.data, ['user', 'create', name, '--password-stdin'], passwords[name]);
  }
  await berth('org', 'create', 'acme');
  await berth('grant', 'set', 'acme/**', '--user', 'alice', '--role', 'write');
  await berth('robot', 'create', 'acme+ci');
  await berth('grant', 'set', 'acme/app', '--robot', 'acme+ci', '--role', 'write');

  const counters = async () => {
    const metrics = await (await fetch(`${registry.url}/metrics`)).text();
    const line = /^berth_http_request_duration_seconds_count\{(.*)\} (\d+)$/gm;
    const counts = new Map<string, number>();
    for (const [, labels = '', count] of metrics.matchAll(line)) {
      const { route, status } = Object.fromEntries(
        [...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, name, value]) => [name, value]),
      );
      const key = `${route} ${status}`;
      counts.set(key, (counts.get(key) ?? 0) + Number(count));
    }
    return counts;
  };
  return {
    registry,
    host: registry.host,
    berth,
    async countRequests(action) {
      const before = await counters();
      await action();
      const after = await counters();
      const made = [...after].map(([key, count]) => [key, count - (before.get(key) ?? 0)] as const);
      return new Map(made.filter(([, count]) => count > 0));
    },
  };
}

/** Asserts that a client stops after a refusal instead of repeating the request. */
export function assertFewRefusals(requests: ReadonlyMap<string, number>): void {
  for (const [what, count] of requests) {
    if (/ (?:401|403)$/.test(what)) assert.ok(count <= 4, `${what}: ${count} times`);
  }
}
