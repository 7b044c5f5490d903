import assert from 'node:assert/strict';
import { digestOf } from './consistency.ts';

// Requests of upload tests, over fetch.

/** Opens a session; returns its absolute URL. */
export async function startUpload(url: string, name: string, query = ''): Promise<string> {
  const response = await fetch(`${url}/v2/${name}/blobs/uploads/${query}`, { method: 'POST' });
  assert.equal(response.status, 202);
  return url + response.headers.get('location');
}

export function patch(session: string, bytes: Uint8Array<ArrayBuffer>, first?: number): Promise<Response> {
  const headers: Record<string, string> =
    first === undefined ? {} : { 'content-range': `${first}-${first + bytes.length - 1}` };
  return fetch(session, { method: 'PATCH', headers, body: bytes });
}

export function finish(session: string, digest: string, bytes?: Uint8Array<ArrayBuffer>): Promise<Response> {
  return fetch(`${session}?digest=${digest}`, { method: 'PUT', ...(bytes && { body: bytes }) });
}

/** Pushes in one request; returns the digest. */
export async function pushBlob(url: string, name: string, bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = digestOf(bytes);
  const response = await fetch(`${url}/v2/${name}/blobs/uploads/?digest=${digest}`, {
    method: 'POST',
    body: bytes,
  });
  assert.equal(response.status, 201, await response.text());
  return digest;
}

export function getBlob(url: string, name: string, digest: string): Promise<Response> {
  return fetch(`${url}/v2/${name}/blobs/${digest}`);
}

/** Pulls a blob and asserts that its bytes match its digest. */
export async function pullBlob(url: string, name: string, digest: string): Promise<Buffer> {
  const response = await getBlob(url, name, digest);
  const body = Buffer.from(await response.arrayBuffer());
  assert.equal(response.status, 200, body.subarray(0, 200).toString());
  assert.equal(digestOf(body, digest.split(':')[0]), digest);
  return body;
}

/** The number of bytes that a session has received; `undefined` if it does not exist. */
export async function received(session: string): Promise<number | undefined> {
  const response = await fetch(session);
  if (response.status === 404) return undefined;
  assert.equal(response.status, 204);
  const last = Number(response.headers.get('range')?.split('-')[1]);
  // `0-0` stands for no bytes and for one byte.
  return last === 0 ? 0 : last + 1;
}

export async function errorCode(response: Response): Promise<string> {
  const { errors } = (await response.json()) as { errors: { code: string }[] };
  return errors[0]?.code ?? 'none';
}
