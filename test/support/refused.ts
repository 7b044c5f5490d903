import assert from 'node:assert/strict';
import { Refused } from '../../src/access/refused.ts';

/** For `assert.rejects`: expects a `Refused` with this message. */
export function refused(message: string | RegExp): (error: unknown) => true {
  return (error) => {
    assert.ok(error instanceof Refused, String(error));
    if (typeof message === 'string') assert.equal(error.message, message);
    else assert.match(error.message, message);
    return true;
  };
}
