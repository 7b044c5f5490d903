import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type Child, startChild } from '../support/child.ts';
import { cleanUp } from '../support/cleanup.ts';
import { freePort } from '../support/free-port.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

/** nginx, which sends each request to the next of its servers. */
export class Balancer {
  /** `HOST:PORT` */
  readonly host: string;
  readonly #directory: string;
  #nginx: Child | undefined;

  private constructor(host: string, directory: string) {
    this.host = host;
    this.#directory = directory;
  }

  /** `servers`: `HOST:PORT` of each. */
  static async start(t: TestContext, servers: readonly string[]): Promise<Balancer> {
    const address = '127.0.2.1';
    const directory = await temporaryDirectory(t, 'berth-nginx');
    const balancer = new Balancer(`${address}:${await freePort(address)}`, directory);
    await mkdir(join(directory, 'temp'));
    await balancer.#configure(servers);
    const nginx = await startChild(t, {
      command: 'nginx',
      args: ['-p', directory, '-c', balancer.#file],
      env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` },
      ready: /start worker process \d+/,
    });
    balancer.#nginx = nginx;
    // SIGKILL would leave its worker running.
    cleanUp(t, () => nginx.stop());
    return balancer;
  }

  /** Sends new requests only to these servers; resolves when all earlier requests are answered. */
  async use(servers: readonly string[]): Promise<void> {
    const nginx = this.#nginx as Child;
    const ended = () => nginx.output().match(/worker process \d+ exited with code 0/g)?.length ?? 0;
    const before = ended();
    await this.#configure(servers);
    process.kill(nginx.pid, 'SIGHUP');
    while (ended() === before) await delay(20);
  }

  get #file(): string {
    return join(this.#directory, 'nginx.conf');
  }

  async #configure(servers: readonly string[]): Promise<void> {
    await writeFile(this.#file, nginxConfiguration(this.#directory, this.host, servers));
  }
}

const temporaryPaths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];

// `user`: if root starts nginx, the worker would otherwise run as a user who may not write to a temporary directory.
const nginxConfiguration = (directory: string, host: string, servers: readonly string[]) => `
user root;
daemon off;
worker_processes 1;
worker_shutdown_timeout 20s;
pid ${directory}/nginx.pid;
error_log stderr notice;
events { worker_connections 1024; }
http {
  access_log off;
  ${temporaryPaths.map((name) => `${name}_temp_path ${directory}/temp/${name};`).join('\n  ')}

  upstream replicas {
    ${servers.map((server) => `server ${server} max_fails=1 fail_timeout=1s;`).join('\n    ')}
    keepalive 16;
  }

  server {
    listen ${host};
    client_max_body_size 0;
    proxy_buffering off;
    proxy_http_version 1.1;
    proxy_set_header Host $http_host;
    proxy_set_header Connection "";
    proxy_connect_timeout 2s;
    proxy_read_timeout 60s;

    # A read may be retried at another server after any failure.
    location / {
      if ($request_method ~ "^(POST|PATCH)$") { return 418; }
      if ($request_method ~ "^(PUT|DELETE)$") { return 419; }
      error_page 418 = @append;
      error_page 419 = @change;
      proxy_pass http://replicas;
      proxy_next_upstream error timeout;
    }

    # Retried at another server only if the connection was refused: nginx never sends these two methods twice.
    location @append {
      proxy_pass http://replicas;
      proxy_request_buffering off;
      proxy_next_upstream error timeout;
    }

    # nginx would send these twice, as they are idempotent. The second DELETE would get 404, although the first one succeeded.
    location @change {
      proxy_pass http://replicas;
      proxy_request_buffering off;
      proxy_next_upstream off;
    }
  }
}
`;
