import type { FastifyReply, FastifyRequest } from 'fastify';
import { acceptBody } from '../http/body.ts';

/** Milliseconds in which a form has to arrive. */
const slowestForm = 30_000;

/** Lets the body come, though not for ever. */
export async function takeForm({ raw }: FastifyRequest, reply: FastifyReply): Promise<void> {
  acceptBody(raw, reply.raw);
  const timer = setTimeout(() => raw.destroy(), slowestForm).unref();
  raw.once('close', () => clearTimeout(timer));
}
