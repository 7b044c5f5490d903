import assert from 'node:assert/strict';
import { once } from 'node:events';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { connect } from 'node:tls';
import { makeCertificate } from '../../test/support/certificate.ts';
import { loadTls, type TlsFiles, watchTls } from './tls.ts';
import { TlsError } from './tls-error.ts';

const folder = mkdtempSync(join(tmpdir(), 'berth-tls-'));
after(() => rmSync(folder, { recursive: true }));

let first: TlsFiles;
let second: TlsFiles;
before(() => {
  first = makeCertificate(folder, 'first', 1);
  second = makeCertificate(folder, 'second', 2);
});

describe('loading', () => {
  test('returns the pair as node:https takes it', async () => {
    const pair = await loadTls(first);
    assert.deepEqual(pair, { cert: readFileSync(first.certificate), key: readFileSync(first.key) });
  });

  for (const [name, files, message] of [
    [
      'a missing certificate',
      () => ({ ...first, certificate: '/nowhere.crt' }),
      /^tls\.certificate \/nowhere\.crt cannot be read: ENOENT$/,
    ],
    [
      'a missing key',
      () => ({ ...first, key: '/nowhere.key' }),
      /^tls\.key \/nowhere\.key cannot be read: ENOENT$/,
    ],
    [
      'a key instead of a certificate',
      () => ({ ...first, certificate: first.key }),
      /^tls\.certificate .*first\.key contains no PEM certificate: /,
    ],
    [
      'a certificate instead of a key',
      () => ({ ...first, key: first.certificate }),
      /^tls\.key .*first\.crt contains no unencrypted PEM private key: /,
    ],
    [
      'the key of another certificate',
      () => ({ ...first, key: second.key }),
      /^tls\.key .*second\.key does not belong to tls\.certificate .*first\.crt$/,
    ],
  ] as const) {
    test(`refuses ${name}, naming the file`, async () => {
      await assert.rejects(loadTls(files()), (error) => {
        assert.ok(error instanceof TlsError);
        assert.match(error.message, message);
        return true;
      });
    });
  }
});

/** A log whose lines can be waited for. */
function listen() {
  const lines: { level: string; fields: Record<string, unknown>; message: string }[] = [];
  let wake = () => {};
  const record = (level: string) => (fields: object, message: string) => {
    lines.push({ level, fields: { ...fields }, message });
    wake();
  };
  const log = { info: record('info'), error: record('error') } as unknown as Parameters<typeof watchTls>[2];
  const next = async () => {
    if (lines.length === 0) await new Promise<void>((resolve) => (wake = resolve));
    return lines.shift()!;
  };
  return { log, next };
}

async function serialOf(server: Server): Promise<string> {
  const { port } = server.address() as AddressInfo;
  const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  const { serialNumber } = socket.getPeerCertificate();
  socket.destroy();
  return serialNumber;
}

async function serverWith(files: TlsFiles) {
  const current = await loadTls(files);
  const server = createServer({ ...current }, (_request, response) => response.end('hello'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { log, next } = listen();
  const watch = watchTls(files, server, log, { current, every: 5 });
  const close = () => {
    watch.close();
    server.close();
  };
  return { server, next, close };
}

function copy(from: TlsFiles, to: string): TlsFiles {
  mkdirSync(to, { recursive: true });
  const files = { certificate: join(to, 'tls.crt'), key: join(to, 'tls.key') };
  copyFileSync(from.certificate, files.certificate);
  copyFileSync(from.key, files.key);
  return files;
}

describe('watching', () => {
  test('new connections get the new certificate, open ones continue', async () => {
    const files = copy(first, join(folder, 'swap'));
    const { server, next, close } = await serverWith(files);
    assert.equal(await serialOf(server), '01');
    const { port } = server.address() as AddressInfo;
    const open = connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
    await once(open, 'secureConnect');

    copy(second, join(folder, 'swap'));
    let line = await next();
    // A check may have happened between the two copies.
    if (line.level === 'error') line = await next();
    assert.equal(line.message, 'TLS certificate reloaded');
    assert.equal(line.fields.serialNumber, '02');
    assert.equal(await serialOf(server), '02');

    open.write('GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n');
    const [answer] = await once(open, 'data');
    assert.match(String(answer), /^HTTP\/1\.1 200/);
    open.destroy();
    close();
  });

  test('a symbolic link swapped above the files, as Kubernetes does, is noticed', async () => {
    const mount = join(folder, 'mount');
    copy(first, join(mount, '..1'));
    copy(second, join(mount, '..2'));
    symlinkSync('..1', join(mount, '..data'));
    symlinkSync('..data/tls.crt', join(mount, 'tls.crt'));
    symlinkSync('..data/tls.key', join(mount, 'tls.key'));
    const { server, next, close } = await serverWith({
      certificate: join(mount, 'tls.crt'),
      key: join(mount, 'tls.key'),
    });
    symlinkSync('..2', join(mount, '..data_tmp'));
    renameSync(join(mount, '..data_tmp'), join(mount, '..data'));
    assert.equal((await next()).level, 'info');
    assert.equal(await serialOf(server), '02');
    close();
  });

  for (const [name, spoil] of [
    [
      'half written',
      ({ certificate }: TlsFiles) =>
        writeFileSync(certificate, readFileSync(second.certificate).subarray(0, 200)),
    ],
    ['without its key', ({ certificate }: TlsFiles) => copyFileSync(second.certificate, certificate)],
    ['that has vanished', ({ key }: TlsFiles) => rmSync(key)],
  ] as const) {
    test(`a pair ${name} is logged once, and the old pair stays in use until a valid one replaces it`, async () => {
      const files = copy(first, mkdtempSync(join(folder, 'bad-')));
      const { server, next, close } = await serverWith(files);
      spoil(files);
      const { level, message } = await next();
      assert.equal(level, 'error');
      assert.equal(message, 'TLS certificate not reloaded; the last valid one stays in use');
      assert.equal(await serialOf(server), '01');

      copyFileSync(second.key, files.key);
      copyFileSync(second.certificate, files.certificate);
      // Many checks have passed since: the logged state is not logged again. The state between the two copies may be.
      const later = [await next()];
      while (later.at(-1)!.level === 'error') later.push(await next());
      assert.ok(later.length <= 2, JSON.stringify(later));
      assert.equal(await serialOf(server), '02');
      close();
    });
  }
});
