import { Failure } from '../failure.ts';
import type { Context } from './context.ts';

/** Bytes; longer than any secret. */
const limit = 64 << 10;

/**
 * Reads the first line of standard input, without its end: for secrets, as other users of the machine can read arguments.
 *
 * @throws Failure
 */
export async function readFirstLine({ input }: Context): Promise<string> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of input ?? []) {
    parts.push(part);
    size += part.length;
    if (part.includes(0x0a) || size > limit) break;
  }
  const bytes = Buffer.concat(parts);
  const end = bytes.indexOf(0x0a);
  const line = end === -1 ? bytes : bytes.subarray(0, end);
  if (line.length > limit) throw new Failure('the first line of standard input is too long');
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(line).replace(/\r$/, '');
  } catch {
    throw new Failure('the first line of standard input is not UTF-8');
  }
}
