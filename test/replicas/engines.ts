import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { startDocker } from '../support/docker.ts';
import { writeBuildContext, writeImageLayout } from '../support/images.ts';
import { containersTools } from '../support/podman.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import type { Ledger } from './ledger.ts';
import type { Random } from './random.ts';

/** A real client that pushes images and pulls them, one after another, until it is told to stop. */
export interface Engine {
  readonly name: string;
  /** Pushes the next image. Throws when the client gives up. */
  push(): Promise<void>;
  /** Pulls a pushed image and checks its content. Throws when the client gives up. */
  pull(): Promise<void>;
  /** The number of images whose push succeeded. */
  readonly pushed: number;
}

interface Place {
  /** `HOST:PORT` */
  readonly host: string;
  readonly ledger: Ledger;
  readonly random: Random;
}

/** Docker: an image of two layers, the second of them new each time. */
export async function dockerEngine(t: TestContext, { host, ledger, random }: Place): Promise<Engine> {
  const { docker } = await startDocker(t);
  const context = join(await temporaryDirectory(t), 'context');
  const images: { image: string; message: string }[] = [];
  let count = 0;
  return {
    name: 'docker',
    get pushed() {
      return images.length;
    },
    async push() {
      count += 1;
      const repository = `docker/app-${count % 3}`;
      const image = `${host}/${repository}:${count}`;
      const message = `image ${count}`;
      await writeBuildContext(context, message, { ballast: random.bytes(256 << 10) });
      await docker('build', '--quiet', '--tag', image, context);
      const begin = performance.now();
      const digest = /digest: (sha256:\w+)/.exec(await docker('push', image))![1] as string;
      const acknowledged = { begin, end: performance.now() };
      for (const reference of [String(count), digest]) {
        ledger.acknowledge(`/v2/${repository}/manifests/${reference}`, digest, acknowledged);
      }
      images.push({ image, message });
      await docker('image', 'rm', image);
    },
    async pull() {
      const { image, message } = random.pick(images)!;
      await docker('pull', image);
      const ran = await docker('run', '--rm', '--pull', 'never', '--network', 'none', image);
      assert.equal(ran, `${message}\n`);
      await docker('image', 'rm', image);
    },
  };
}

/** skopeo: an index of two images, always the same bytes, to a new repository each time. */
export async function skopeoEngine(t: TestContext, { host, ledger, random }: Place): Promise<Engine> {
  const { skopeo } = await containersTools(t, host);
  const directory = await temporaryDirectory(t);
  const { layout, digest } = await writeImageLayout(directory, 'hello from skopeo');
  const repositories: string[] = [];
  let count = 0;
  let pulls = 0;
  return {
    name: 'skopeo',
    get pushed() {
      return repositories.length;
    },
    async push() {
      count += 1;
      const repository = `skopeo/app-${count}`;
      const begin = performance.now();
      const target = `docker://${host}/${repository}:1`;
      await skopeo('copy', '--retry-times=2', '--all', '--preserve-digests', `oci:${layout}:latest`, target);
      const acknowledged = { begin, end: performance.now() };
      for (const reference of ['1', digest]) {
        ledger.acknowledge(`/v2/${repository}/manifests/${reference}`, digest, acknowledged);
      }
      repositories.push(repository);
    },
    async pull() {
      pulls += 1;
      const source = `docker://${host}/${random.pick(repositories)}:1`;
      // skopeo checks each blob against the manifest, and the manifests against the index.
      await skopeo(
        'copy',
        '--retry-times=2',
        '--all',
        '--preserve-digests',
        source,
        `dir:${join(directory, `pull-${pulls}`)}`,
      );
    },
  };
}

export interface EngineRun {
  /** Ends after the current push or pull. */
  stop(): Promise<{ readonly name: string; readonly done: number; readonly givenUp: readonly Error[] }>;
}

/** Milliseconds between two turns; more turns would prove no more. */
const pause = 1_000;

/** Pushes and pulls in turn. A client that gives up with an error is not a failure of the test. */
export function runEngine(engine: Engine): EngineRun {
  const givenUp: Error[] = [];
  let done = 0;
  let stopped = false;
  const running = (async () => {
    for (let turn = 0; !stopped; turn++) {
      try {
        if (turn % 2 === 0 || engine.pushed === 0) await engine.push();
        else await engine.pull();
        done += 1;
      } catch (error) {
        if (error instanceof assert.AssertionError) throw error;
        givenUp.push(error as Error);
      }
      await delay(pause);
    }
  })();
  running.catch(() => {}); // `stop` reports the error
  return {
    async stop() {
      stopped = true;
      await running;
      return { name: engine.name, done, givenUp };
    },
  };
}
