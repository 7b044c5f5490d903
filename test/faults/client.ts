import assert from 'node:assert/strict';

/** A request, and the answers that count as success. */
export interface Step {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly url: string;
  readonly headers?: Record<string, string>;
  /** A list of chunks is sent chunked. */
  readonly body?: Buffer | Buffer[];
  readonly ok: number;
  /** Error codes that count as success of a repeated request, as its first attempt may have succeeded. */
  readonly again?: readonly string[];
  readonly check?: (reply: Reply) => void;
}

export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Buffer;
}

/** The registry answered 5xx. */
export class ServerFault extends Error {
  readonly step: Step;
  constructor(step: Step, reply: Reply) {
    super(summaryOf(step, reply));
    this.step = step;
  }
}

/** Sends a step and asserts its answer. @throws ServerFault at a 5xx, after asserting its OCI error body */
export async function send(url: string, step: Step): Promise<Reply> {
  const reply = await exchange(url, step);
  if (reply.status >= 500) {
    const fault = new ServerFault(step, reply);
    if (step.method !== 'HEAD')
      assert.match(codeOf(reply), /^(UNAVAILABLE|STORAGE_FULL|UNKNOWN)$/, fault.message);
    throw fault;
  }
  // Decodes the body only for the message: it may have megabytes.
  if (reply.status !== step.ok) assert.fail(summaryOf(step, reply));
  step.check?.(reply);
  return reply;
}

/** Repeats a failed step, unchanged. */
export async function repeat(url: string, step: Step): Promise<void> {
  const reply = await exchange(url, step);
  if (reply.status === step.ok) return step.check?.(reply);
  assert.ok(step.again?.includes(codeOf(reply)), `again ${summaryOf(step, reply)}`);
}

async function exchange(url: string, { method, url: path, headers = {}, body }: Step): Promise<Reply> {
  const chunked = Array.isArray(body);
  const response = await fetch(url + path, {
    method,
    headers,
    ...(body !== undefined && { body: chunked ? ReadableStream.from(body) : body }),
    ...(chunked && { duplex: 'half' }),
  } as RequestInit);
  return {
    status: response.status,
    headers: response.headers,
    body: Buffer.from(await response.arrayBuffer()),
  };
}

function summaryOf({ method, url }: Step, { status, body }: Reply): string {
  return `${method} ${url}: ${status} ${body}`;
}

function codeOf({ body }: Reply): string {
  return String(JSON.parse(body.toString()).errors[0].code);
}

/** The server fault that ended `run`, if one did; rethrows every other error. */
export async function faultOf(run: () => Promise<void>): Promise<ServerFault | undefined> {
  try {
    await run();
    return undefined;
  } catch (error) {
    if (error instanceof ServerFault) return error;
    throw error;
  }
}
