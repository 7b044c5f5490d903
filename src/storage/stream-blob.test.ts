import { once } from 'node:events';
import fs from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryDirectory } from '../../test/support/temporary-directory.ts';
import { streamBlob } from './stream-blob.ts';

test('a stream that is not read to its end leaves the file open for its owner', async (t) => {
  const file = join(await temporaryDirectory(t), 'blob');
  fs.writeFileSync(file, Buffer.alloc(3 << 20));
  const fd = fs.openSync(file, 'r');
  const stream = streamBlob({ fd, size: 3 << 20, close() {} });
  await once(stream, 'readable');
  stream.destroy();
  await once(stream, 'close');
  fs.closeSync(fd);
});
