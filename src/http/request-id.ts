import { randomBytes } from 'node:crypto';

const prefix = randomBytes(6).toString('base64url');
let count = 0;

/** A name for a request that no other request of any process has; short, as it stands in every log line. */
export function requestId(): string {
  count += 1;
  return `${prefix}-${count.toString(36)}`;
}
