const pageSize = 500;

/** All rows of a list that is read page by page, by name. */
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
