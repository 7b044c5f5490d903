import { join } from 'node:path';
import type { StoredFile } from './blob-store.ts';
import type { Files } from './files.ts';
import { presentOr } from './present-or.ts';

/** All files below a folder, by their paths; none where the folder is missing. Files that are deleted meanwhile may be left out. */
export async function* listFiles(folder: string, files: Files): AsyncIterable<StoredFile<string>> {
  for (const entry of await presentOr([], files.readdir(folder, { withFileTypes: true }))) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* listFiles(path, files);
    const found = entry.isFile() && (await presentOr(undefined, files.stat(path)));
    if (found) yield { name: path, modifiedAt: found.mtimeMs };
  }
}
