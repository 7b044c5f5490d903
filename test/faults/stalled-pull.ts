import assert from 'node:assert/strict';
import { join } from 'node:path';
import { eventually, openDescriptors } from './descriptors.ts';
import { RawConnection } from './raw-connection.ts';

/** The size in bytes of a blob much larger than the socket buffers of a connection. */
export const largeBlob = 32 << 20;

/** Begins a pull whose client reads nothing until its socket is resumed; it has to be the only pull from `data`. */
export async function beginPull(url: string, data: string, path: string): Promise<RawConnection> {
  const connection = await RawConnection.to(url);
  connection.socket.pause();
  connection.request('GET', path);
  const begun = await eventually(() => openDescriptors(join(data, 'docker')) > 0);
  assert.ok(begun, 'the blob was not opened');
  return connection;
}
