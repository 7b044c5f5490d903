import type { FastifyInstance, FastifyRequest } from 'fastify';
import { acceptBody, readBody } from '../http/body.ts';
import { statusOf } from '../http/error-status.ts';
import { note } from '../http/observe.ts';
import { onStalled } from '../http/stalled-requests.ts';
import { RegistryError } from '../oci/errors.ts';

/** A form that could not be read, with the status for Fastify's error handlers. */
class FormRefused extends Error {
  override readonly name = 'FormRefused';
  readonly statusCode: number;

  constructor({ code, detail }: RegistryError) {
    super(`the form could not be read: ${detail}`);
    this.statusCode = statusOf[code];
  }
}

/** Makes the POST routes of a scope accept forms of at most `limit` bytes, as `URLSearchParams`, and no other body. */
export function acceptForms(scope: FastifyInstance, limit: number): void {
  scope.removeAllContentTypeParsers();
  scope.addHook('preParsing', async (request, reply) => {
    if (request.method === 'POST') acceptBody(request.raw, reply.raw);
  });
  scope.addContentTypeParser('application/x-www-form-urlencoded', ({ raw }: FastifyRequest) =>
    readForm(raw, limit),
  );
}

/** @throws FormRefused */
async function readForm(request: FastifyRequest['raw'], limit: number): Promise<URLSearchParams> {
  const stalled = new AbortController();
  const unwatch = onStalled(request, (reason) => stalled.abort(reason));
  let bytes = 0;
  const received = (more: number): void => {
    bytes += more;
    note(request, { received: bytes });
  };
  try {
    const intake = { empty: false, open: () => request, signal: stalled.signal, received };
    return new URLSearchParams((await readBody(request, limit, intake)).toString());
  } catch (error) {
    throw error instanceof RegistryError ? new FormRefused(error) : error;
  } finally {
    unwatch();
  }
}
