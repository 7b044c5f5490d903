// Finds the files of a tar archive by its headers. The data between them is not read.
import type { FileHandle } from 'node:fs/promises';
import { Header } from 'tar/header';
import { Pax } from 'tar/pax';
import { quote } from '../oci/digest.ts';
import { InvalidArchive } from './invalid-archive.ts';

/** The place of a file's bytes in the archive. */
export interface TarEntry {
  readonly offset: number;
  readonly size: number;
}

/** Entries of one archive, about 300 bytes of memory each. */
const maxEntries = 500_000;
/** Bytes of an extended header, which holds a long name. */
const maxExtendedHeader = 64 << 10;
const maxPath = 1_024;
const block = 512;

const extensionTypes: readonly string[] = [
  'ExtendedHeader',
  'GlobalExtendedHeader',
  'NextFileHasLongPath',
  'NextFileHasLongLinkpath',
];
const fileTypes: readonly string[] = ['File', 'OldFile', 'ContiguousFile'];
/** Docker before 25 and skopeo write a layer that several images share once, and link to it. */
const layerFile = /^[0-9a-f]{64}\/layer\.tar$/;
const layerLink = /^\.\.\/([0-9a-f]{64}(?:\/layer)?\.tar)$/;

/**
 * The regular files of a tar archive by path. Links, devices, duplicate names and paths out of the archive are refused: no image
 * layout needs them.
 *
 * @param size of the archive in bytes
 * @throws InvalidArchive
 */
export async function indexTar(
  handle: FileHandle,
  size: number,
  limit = maxEntries,
): Promise<Map<string, TarEntry>> {
  const files = new Map<string, TarEntry>();
  const links = new Map<string, string>();
  let next = new Extension();
  let at = 0;
  for (let entries = 0; ; entries++) {
    const header = await readHeader(handle, at, size);
    if (header === undefined) break;
    if (entries === limit) throw new InvalidArchive(`the archive has more than ${limit} entries`);
    const { type } = header;
    const isExtension = extensionTypes.includes(type);
    // Not by Header itself, which adds the header's prefix to the path of an extension.
    const { path = '', linkpath = '', size: length = Number.NaN } = isExtension ? header : next.apply(header);
    const data = { offset: at + block, size: length };
    if (!Number.isSafeInteger(length) || length < 0 || data.offset + length > size) {
      throw new InvalidArchive(`the archive ends before the end of its entry ${quote(path)}`);
    }
    at = data.offset + Math.ceil(length / block) * block;
    if (isExtension) {
      await next.read(handle, type, data);
      continue;
    }
    const name = checkPath(path);
    const target = layerLink.exec(linkpath)?.[1];
    next = new Extension();
    if (type === 'Directory') continue;
    if (files.has(name) || links.has(name))
      throw new InvalidArchive(`the archive has two entries ${quote(path)}`);
    if (fileTypes.includes(type)) files.set(name, data);
    else if (type === 'SymbolicLink' && layerFile.test(name) && target !== undefined) links.set(name, target);
    else throw new InvalidArchive(`entry ${quote(path)} of the archive is not a regular file (${type})`);
  }
  for (const [name, target] of links) {
    const file = files.get(target);
    if (file === undefined)
      throw new InvalidArchive(`entry ${quote(name)} links to ${target}, which is missing`);
    files.set(name, file);
  }
  return files;
}

/** Headers before an entry that extend it. */
class Extension {
  #pax: Pax | undefined;
  #path: string | undefined;
  #link: string | undefined;

  async read(handle: FileHandle, type: string, data: TarEntry): Promise<void> {
    if (type === 'GlobalExtendedHeader') return;
    if (data.size > maxExtendedHeader) {
      throw new InvalidArchive(`an extended header of the archive has more than ${maxExtendedHeader} bytes`);
    }
    const bytes = Buffer.alloc(data.size);
    await handle.read(bytes, 0, data.size, data.offset);
    const text = bytes.toString();
    if (type === 'ExtendedHeader') this.#pax = Pax.parse(text);
    else if (type === 'NextFileHasLongPath') this.#path = text.replace(/\0.*$/s, '');
    else this.#link = text.replace(/\0.*$/s, '');
  }

  apply(header: Header): Pick<Header, 'path' | 'linkpath' | 'size'> {
    const path = this.#path ?? this.#pax?.path ?? header.path;
    const linkpath = this.#link ?? this.#pax?.linkpath ?? header.linkpath;
    const size = this.#pax?.size ?? header.size;
    return {
      ...(path !== undefined && { path }),
      ...(linkpath !== undefined && { linkpath }),
      ...(size !== undefined && { size }),
    };
  }
}

/** `undefined` at the end of the archive. */
async function readHeader(handle: FileHandle, at: number, size: number): Promise<Header | undefined> {
  if (at + block > size) {
    throw new InvalidArchive(
      at === 0 ? 'the file is not a tar archive' : 'the archive is cut off: it has no end',
    );
  }
  const bytes = Buffer.alloc(block);
  await handle.read(bytes, 0, block, at);
  const header = new Header(bytes);
  if (header.nullBlock) return undefined;
  if (header.cksumValid) return header;
  throw new InvalidArchive(
    at === 0 ? 'the file is not a tar archive' : `the archive has no valid header at byte ${at}`,
  );
}

/** The path without `.` and empty components, which would let two entries name one file. */
function checkPath(path: string): string {
  const parts = path.split('/');
  if (path.startsWith('/') || path.includes('\0') || path.length > maxPath || parts.includes('..')) {
    throw new InvalidArchive(`entry ${quote(path)} has a path that leads out of the archive, or is too long`);
  }
  return parts.filter((part) => part !== '' && part !== '.').join('/');
}
