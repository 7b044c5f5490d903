/** Rows below their headings, in columns, for people; each cell is one line. */
export function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  return align([headings, ...rows]);
}

/** What is known of one thing: a line for each, its name before it. */
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

/** Letters, not bytes: an accent of its own takes no room. */
function widthOf(text: string): number {
  return [...text.replace(/\p{Mark}/gu, '')].length;
}

/** A time for people and scripts alike: UTC, to the second. */
export function showTime(time: number): string {
  return `${new Date(time).toISOString().slice(0, 19)}Z`;
}
