import assert from 'node:assert/strict';
import { join } from 'node:path';
import { eventually, openDescriptors } from './descriptors.ts';
import { RawConnection } from './raw-connection.ts';

/** Bytes of a blob that is much larger than what the sockets of a connection hold for a reader. */
export const largeBlob = 32 << 20;

/** A pull that has begun, and whose client reads nothing before its socket is resumed; the only one over `data`. */
export async function beginPull(url: string, data: string, path: string): Promise<RawConnection> {
  const connection = await RawConnection.to(url);
  connection.socket.pause();
  connection.request('GET', path);
  const begun = await eventually(() => openDescriptors(join(data, 'docker')) > 0);
  assert.ok(begun, 'the blob was not opened');
  return connection;
}
