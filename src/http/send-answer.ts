import type { ServerResponse } from 'node:http';
import type { OpenBlob } from '../storage/blob-store.ts';
import type { Answer, BlobBody, Headers } from './answer.ts';
import { quotedString } from './quoted-string.ts';
import type { HttpRequest } from './request.ts';
import { sendFile } from './send-file.ts';
import { sendStream } from './send-stream.ts';
import { countedFrom, unsentAnswers } from './unsent.ts';

/**
 * Sends the answer to `request`. Returns no promise when the body is in memory.
 *
 * Throws before anything is sent when a header is invalid. Rejects after the head is sent when the blob breaks off or the client
 * disconnects; the caller then destroys the response.
 *
 * @param progress called with the number of bytes of the body that were sent
 */
export function sendAnswer(
  response: ServerResponse,
  { id, isHead }: HttpRequest,
  { status, headers, body, warnings }: Answer,
  progress: (bytes: number) => void,
): Promise<void> | void {
  const head = headOf(id, headers, warnings);
  if (body !== undefined && typeof body !== 'string' && !Buffer.isBuffer(body)) {
    return sendBlob(response, status, head, body, progress);
  }
  const length = body === undefined ? 0 : Buffer.byteLength(body);
  const isLarge = length >= countedFrom;
  // 204 and 304 have no body, so no length; a HEAD has the length of the GET.
  if (status !== 204 && status !== 304 && !('Content-Length' in headers))
    head.push('Content-Length', `${length}`);
  response.writeHead(status, head);
  if (!isHead) progress(length);
  // node:http would keep a string in memory twice until all of it is sent.
  response.end(isLarge && typeof body === 'string' ? Buffer.from(body) : body);
  if (isLarge) unsentAnswers.add(response, length);
}

async function sendBlob(
  response: ServerResponse,
  status: number,
  head: string[],
  { parts, opened: first, open, epilogue = '' }: BlobBody,
  progress: (bytes: number) => void,
): Promise<void> {
  let opened: OpenBlob | undefined = first;
  try {
    response.writeHead(status, head);
    for (const { preamble, range } of parts) {
      opened ??= await open(range);
      if (preamble !== undefined) response.write(preamble);
      if ('fd' in opened) await sendFile(response, opened.fd, range, progress);
      else await sendStream(response, opened.stream, range, progress);
      opened.close();
      opened = undefined;
    }
    response.end(epilogue);
  } finally {
    opened?.close();
  }
}

/** Alternating names and values, which node:http uses unchanged. */
function headOf(id: string, headers: Headers, warnings: readonly string[] = []): string[] {
  // On every answer (2.1): old clients check for the version before anything else.
  const head = ['Docker-Distribution-API-Version', 'registry/2.0', 'X-Request-Id', id];
  for (const name in headers) {
    const value = headers[name];
    if (Array.isArray(value)) for (const one of value) head.push(name, one);
    else head.push(name, `${value}`);
  }
  for (const text of warnings) head.push('Warning', `299 - ${quotedString(text)}`);
  return head;
}
