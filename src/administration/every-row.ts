const pageSize = 500;

/** Reads all rows of a list, page by page in order of names. */
export async function everyRow<T extends { readonly name: string }>(
  page: (after: string, limit: number) => Promise<readonly T[]>,
): Promise<T[]> {
  const rows: T[] = [];
  for (let after = ''; ; after = (rows.at(-1) as T).name) {
    const found = await page(after, pageSize);
    rows.push(...found);
    if (found.length < pageSize) return rows;
  }
}
