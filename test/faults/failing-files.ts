import { closeSync } from 'node:fs';
import { type Files, files } from '../../src/storage/files.ts';
import type { Faults } from './faults.ts';

/** The calls to the operating system, one of which fails. */
export function failingFiles(faults: Faults): Files {
  const wrapped = Object.fromEntries(
    Object.entries(files).map(([name, call]) => [
      name,
      (...parameters: unknown[]) =>
        faults.around(name, () => (call as (...parameters: unknown[]) => Promise<unknown>)(...parameters)),
    ]),
  ) as unknown as Files;
  return {
    ...wrapped,
    // The descriptor is closed even if closing reports an error (close(2)).
    close: (async (fd: number) => {
      try {
        faults.check('close');
      } catch (error) {
        closeSync(fd);
        throw error;
      }
      await files.close(fd);
    }) as Files['close'],
    // Fails only before opening: after it, no caller would have the descriptor to close it.
    open: (async (...parameters: Parameters<Files['open']>) => {
      faults.check('open');
      return files.open(...parameters);
    }) as Files['open'],
    // A full disk writes a part of the bytes before it fails.
    writev: (fd, buffers, position) =>
      faults.around('writev', () => files.writev(fd, halfOf(buffers), position)),
  };
}

/** At least one byte, so that the caller makes progress. */
function halfOf(buffers: Buffer[]): Buffer[] {
  const bytes = Buffer.concat(buffers);
  return [bytes.subarray(0, Math.ceil(bytes.length / 2))];
}
