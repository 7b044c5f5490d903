/** Formats rows below headings in aligned columns; each cell is one line. */
export function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  return align([headings, ...rows]);
}

/** Formats one `name value` line for each field. */
export function fields(values: Readonly<Record<string, string>>): string {
  return align(Object.entries(values));
}

function align(lines: readonly (readonly string[])[]): string {
  const widths = (lines[0] ?? []).map((_, column) =>
    Math.max(...lines.map((cells) => widthOf(cells[column] ?? ''))),
  );
  const print = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => cell + ' '.repeat((widths[column] as number) - widthOf(cell)))
      .join('  ')
      .trimEnd();
  return `${lines.map(print).join('\n')}\n`;
}

/** Counts characters, not bytes; combining marks have no width. */
function widthOf(text: string): number {
  return [...text.replace(/\p{Mark}/gu, '')].length;
}

/** The algorithm and the first 12 digits of a digest. */
export function shortDigest(digest: string): string {
  return digest.slice(0, digest.indexOf(':') + 13);
}
