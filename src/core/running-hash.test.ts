import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseDigest } from '../oci/digest.ts';
import { digestBytes, RunningHash } from './running-hash.ts';

for (const algorithm of ['sha256', 'sha512'] as const) {
  test(`${algorithm}: the digest covers the bytes so far, in chunks of any size`, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.uint8Array()), async (parts) => {
        const chunks = parts.map((part) => Buffer.from(part));
        const hash = new RunningHash(algorithm);
        const whole = createHash(algorithm);
        for (const chunk of chunks) {
          hash.update(chunk);
          whole.update(chunk);
          assert.equal(hash.digest(), `${algorithm}:${whole.copy().digest('hex')}`);
        }
        const bytes = Buffer.concat(chunks);
        assert.equal(hash.size, bytes.length);
        assert.equal(hash.digest(), digestBytes(algorithm, bytes));
        assert.equal(parseDigest(hash.digest()), hash.digest());
        const read = await RunningHash.of(algorithm, Readable.from(chunks));
        assert.deepEqual([read.digest(), read.size], [hash.digest(), hash.size]);
      }),
    );
  });
}

test('a broken stream has no digest', async () => {
  const broken = new Readable({ read: () => broken.destroy(new Error('gone')) });
  await assert.rejects(RunningHash.of('sha256', broken), /gone/);
});
