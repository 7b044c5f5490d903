// Reads a file, or says why it cannot be read.
import { readFileSync } from 'node:fs';

export type TextFile = { readonly text: string } | { readonly reason: string };

const REASONS: Record<string, string> = {
  ENOENT: 'there is no such file',
  EISDIR: 'it is a directory',
  EACCES: 'permission is denied',
};

export function readTextFile(file: string): TextFile {
  try {
    return { text: readFileSync(file, 'utf8') };
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    return { reason: REASONS[code] ?? code };
  }
}
