// What a browser keeps between leaving for the sign-on provider and coming back: nobody else's answer fits it.
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { readCookie, setCookie } from './cookies.ts';
import type { Attempt } from './provider.ts';

const name = 'berth-sign-on';
/** Seconds: to log in at the provider, with a second factor that has to be looked for. */
const maxAge = 600;

const form = z.strictObject({ state: z.string(), nonce: z.string(), verifier: z.string(), to: z.string() });

export interface KeptAttempt extends Attempt {
  /** Where to go in the end. */
  readonly to: string;
}

export function keepAttempt(reply: FastifyReply, attempt: KeptAttempt, secure: boolean): void {
  const value = Buffer.from(JSON.stringify(attempt)).toString('base64url');
  setCookie(reply, { name, value, maxAge, secure });
}

/** It is good once. */
export function takeAttempt(
  request: FastifyRequest,
  reply: FastifyReply,
  secure: boolean,
): KeptAttempt | undefined {
  const value = readCookie(request, name, secure);
  if (value === undefined) return undefined;
  setCookie(reply, { name, value: '', maxAge: 0, secure });
  try {
    return form.parse(JSON.parse(Buffer.from(value, 'base64url').toString()));
  } catch {
    return undefined;
  }
}
