import { randomBytes } from 'node:crypto';

const prefix = randomBytes(6).toString('base64url');
let count = 0;

/** A request ID that is unique among all processes; short, as every log line has it. */
export function requestId(): string {
  count += 1;
  return `${prefix}-${count.toString(36)}`;
}
