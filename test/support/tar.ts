import { Header, type HeaderData } from 'tar/header';

/** An entry: its path, its bytes, and header fields that differ from those of a regular file. */
export type TarFile = readonly [path: string, bytes: Buffer | string, fields?: Partial<HeaderData>];

/** A tar archive in memory. */
export function tarOf(files: readonly TarFile[]): Buffer {
  return Buffer.concat([...files.flatMap(partsOf), Buffer.alloc(1_024)]);
}

function partsOf([path, content, fields]: TarFile): Buffer[] {
  const bytes = Buffer.from(content as string);
  const header = Buffer.alloc(512);
  new Header({ path, size: bytes.length, mode: 0o644, type: 'File', ...fields }).encode(header);
  return [header, bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)];
}
