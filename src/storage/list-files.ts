import { join } from 'node:path';
import type { StoredFile } from './blob-store.ts';
import type { Files } from './files.ts';
import { presentOr } from './present-or.ts';

/** Lists the paths of all files below a folder; none if the folder is missing. May omit a file that is deleted meanwhile. */
export async function* listFiles(folder: string, files: Files): AsyncIterable<StoredFile<string>> {
  for (const entry of await presentOr([], files.readdir(folder, { withFileTypes: true }))) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* listFiles(path, files);
    const found = entry.isFile() && (await presentOr(undefined, files.stat(path)));
    if (found) yield { name: path, modifiedAt: found.mtimeMs };
  }
}
