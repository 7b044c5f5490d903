import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, get, type IncomingMessage, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { RegistryError } from '../oci/errors.ts';
import type { OpenBlob } from '../storage/blob-store.ts';
import { type Answer, ErrorWithHeaders, errorAnswer } from './answer.ts';
import { answerRequests, type Transfer } from './answer-requests.ts';
import { clientsOf } from './client.ts';
import type { HttpRequest } from './request.ts';

/** A server that answers every request with `answer`, and the transfer that it observes. */
async function serve(t: TestContext, answer: (request: HttpRequest) => Answer | Promise<Answer>) {
  let observed = (_transfer: Transfer): void => {};
  const transfer = new Promise<Transfer>((resolve) => {
    observed = resolve;
  });
  const handler = answerRequests({
    clientOf: clientsOf([]),
    answer: async (request) => ({ answer: await answer(request) }),
    observe: (_request, _outcome, sent) => observed(sent),
  });
  const server = createServer((incoming, response) => void handler(incoming, response, 'id-1'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, transfer };
}

/** A blob of the bytes of `content`, which counts how often it was closed. */
function blobOf(content: string) {
  const blob = {
    closed: 0,
    opened: (): OpenBlob => ({
      size: content.length,
      stream: Readable.from([Buffer.from(content)]),
      close: () => {
        blob.closed += 1;
      },
    }),
  };
  return blob;
}

async function answerTo(url: string): Promise<IncomingMessage> {
  const [response] = (await once(get(url, { agent: false }), 'response')) as [IncomingMessage];
  return response;
}

test('adds the API version, the request id and the length to the headers of an answer', async (t) => {
  const { url, transfer } = await serve(t, () => ({
    status: 201,
    headers: { 'OCI-Tag': ['a', 'b'] },
    body: 'é',
  }));
  const response = await answerTo(url);
  assert.equal(await text(response), 'é');
  assert.deepEqual(response.rawHeaders.slice(0, 10), [
    ...['Docker-Distribution-API-Version', 'registry/2.0', 'X-Request-Id', 'id-1'],
    ...['OCI-Tag', 'a', 'OCI-Tag', 'b', 'Content-Length', '2'],
  ]);
  const { status, sent, failure } = await transfer;
  assert.deepEqual({ status, sent, failure }, { status: 201, sent: 2, failure: undefined });
});

test('answers a HEAD with the Content-Length of the GET, and counts no bytes', async (t) => {
  const { url, transfer } = await serve(t, () => ({ status: 200, headers: {}, body: 'four' }));
  const [response] = (await once(request(url, { method: 'HEAD', agent: false }).end(), 'response')) as [
    IncomingMessage,
  ];
  assert.equal(response.headers['content-length'], '4');
  assert.equal((await transfer).sent, 0);
});

test('an answer with an invalid header becomes a 500, and its blob is closed', async (t) => {
  const blob = blobOf('four');
  const { url, transfer } = await serve(t, () => ({
    status: 200,
    headers: { Location: 'a\nb' },
    body: { parts: [{ range: { start: 0, end: 3 } }], opened: blob.opened(), open: () => assert.fail() },
  }));
  const response = await answerTo(url);
  assert.equal(response.statusCode, 500);
  const { errors } = JSON.parse(await text(response));
  assert.deepEqual([errors[0].code, errors[0].detail], ['UNKNOWN', undefined]);
  assert.equal(blob.closed, 1);
  const { status, failure } = await transfer;
  assert.deepEqual([status, (failure as { code: string }).code], [500, 'ERR_INVALID_CHAR']);
});

test('breaks the connection when a later part cannot be opened; reports the failure and the bytes sent', async (t) => {
  const blob = blobOf('four');
  const fault = new Error('the disk failed');
  const { url, transfer } = await serve(t, () => ({
    status: 206,
    headers: { 'Content-Length': 8 },
    body: {
      parts: [{ range: { start: 0, end: 3 } }, { range: { start: 4, end: 7 } }],
      opened: blob.opened(),
      open: () => Promise.reject(fault),
    },
  }));
  await assert.rejects(text(await answerTo(url)), { code: 'ECONNRESET' });
  assert.equal(blob.closed, 1);
  const { status, sent, failure } = await transfer;
  assert.deepEqual([status, sent, failure], [206, 4, fault]);
});

test('sends the parts of a blob between preambles and epilogue, and closes each', async (t) => {
  const blob = blobOf('four');
  const { url, transfer } = await serve(t, () => ({
    status: 206,
    headers: { 'Content-Length': 17 },
    body: {
      parts: [
        { range: { start: 0, end: 3 }, preamble: '<1>' },
        { range: { start: 4, end: 7 }, preamble: '<2>' },
      ],
      opened: blob.opened(),
      open: async () => blob.opened(),
      epilogue: '<3>',
    },
  }));
  assert.equal(await text(await answerTo(url)), '<1>four<2>four<3>');
  assert.equal(blob.closed, 2);
  assert.equal((await transfer).sent, 8);
});

test('an answer before the whole request body is read closes the connection; a later one does not', async (t) => {
  const { url } = await serve(t, async (request) => {
    if (request.path === '/read') await request.readBody(4);
    return { status: 202, headers: {} };
  });
  for (const [path, connection] of [
    ['read', 'keep-alive'],
    ['unread', 'close'],
  ] as const) {
    const response = await fetch(url + path, { method: 'PUT', body: 'four' });
    assert.deepEqual([response.status, response.headers.get('connection')], [202, connection], path);
  }
});

test('the answer to an error has its status, its own headers and the added ones', () => {
  const error = new ErrorWithHeaders('TOOMANYREQUESTS', 'a detail', { A: '1', B: '1' }, { retryAfter: 9 });
  const { status, headers, body } = errorAnswer(error, { B: '2' });
  assert.equal(status, 429);
  assert.deepEqual(headers, { 'Content-Type': 'application/json', 'Retry-After': '9', A: '1', B: '2' });
  assert.equal(JSON.parse(`${body}`).errors[0].detail, 'a detail');
  assert.deepEqual(errorAnswer(new RegistryError('DENIED')).headers, { 'Content-Type': 'application/json' });
});

test('the signal of whileConnected aborts when the connection closes', async (t) => {
  const { url, transfer } = await serve(t, (incoming) =>
    incoming.whileConnected(async (closed) => {
      client.destroy();
      await once(closed, 'abort');
      return { status: 499, headers: {} };
    }),
  );
  const client = get(url).on('error', () => {});
  const { status, failure } = await transfer;
  assert.deepEqual([status, failure], [499, undefined]);
});
