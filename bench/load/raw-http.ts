// HTTP over a bare socket with one reused read buffer. Node's own client reads at half the rate at which sendfile sends,
// and wrk cannot send HEAD: it waits for the body that Content-Length announces.
import { connect, type Socket } from 'node:net';

const HEAD_END = '\r\n\r\n';
const READ_BUFFER_SIZE = 256 * 1024;

/** GETs a body, following redirects; returns its number of bytes. Rejects anything but a complete 200. */
export function pull(url: URL): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  let head = '';
  let body = 0;
  const socket = open(url, (chunk) => {
    if (head.endsWith(HEAD_END)) {
      body += chunk.length;
      return;
    }
    const text = head + chunk.toString('latin1');
    const end = text.indexOf(HEAD_END);
    head = end < 0 ? text : text.slice(0, end + HEAD_END.length);
    if (end >= 0) body = text.length - head.length;
  });
  socket.on('connect', () => socket.write(requestHead('GET', url, 'close')));
  socket.on('error', reject);
  socket.on('end', () => {
    socket.end();
    const location = isRedirect(head) && /^location: *(\S+)/im.exec(head)?.[1];
    if (location) return resolve(pull(new URL(location, url)));
    const announced = Number(/^content-length: *(\d+)/im.exec(head)?.[1]);
    if (isOk(head) && body === announced) return resolve(body);
    reject(new Error(`GET ${url}: ${body} bytes of ${announced} after ${head.split('\r\n', 1)[0]}`));
  });
  return promise;
}

/** Sends HEAD after HEAD on each connection; returns the number of answers. Rejects anything but 200. */
export async function floodHead(url: URL, connections: number, seconds: number): Promise<number> {
  const deadline = performance.now() + seconds * 1000;
  const counts = await Promise.all(Array.from({ length: connections }, () => repeatHead(url, deadline)));
  return counts.reduce((sum, count) => sum + count, 0);
}

function repeatHead(url: URL, deadline: number): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const head = requestHead('HEAD', url, 'keep-alive');
  let answered = 0;
  let reply = '';
  const socket = open(url, (chunk) => {
    reply += chunk.toString('latin1');
    if (!reply.endsWith(HEAD_END)) return;
    if (!isOk(reply)) return socket.destroy(new Error(`HEAD ${url}: ${reply.split('\r\n', 1)[0]}`));
    answered += 1;
    reply = '';
    if (performance.now() < deadline) socket.write(head);
    else socket.end();
  });
  socket.on('connect', () => socket.write(head));
  socket.on('error', reject);
  socket.on('close', () =>
    performance.now() < deadline ? reject(new Error(`HEAD ${url}: closed early`)) : resolve(answered),
  );
  return promise;
}

function open(url: URL, onChunk: (chunk: Buffer) => void): Socket {
  const buffer = Buffer.allocUnsafe(READ_BUFFER_SIZE);
  const callback = (size: number) => {
    onChunk(buffer.subarray(0, size));
    return true;
  };
  return connect({ host: url.hostname, port: Number(url.port), noDelay: true, onread: { buffer, callback } });
}

function requestHead(method: string, url: URL, connection: string): string {
  const accept = 'application/vnd.oci.image.manifest.v1+json, */*';
  return `${method} ${url.pathname}${url.search} HTTP/1.1\r\nHost: ${url.host}\r\nAccept: ${accept}\r\nConnection: ${connection}${HEAD_END}`;
}

function isRedirect(head: string): boolean {
  return head.startsWith('HTTP/1.1 307 ');
}

function isOk(head: string): boolean {
  return head.startsWith('HTTP/1.1 200 ');
}
