/** A page of a sorted list. */
export interface PageRequest {
  /** The last item seen (it need not exist); `''` for the first page. */
  readonly last: string;
  /** Maximum number of items; 0 asks for none. */
  readonly n: number;
}

export interface Page<T> {
  readonly items: readonly T[];
  /** Whether more items follow. */
  readonly more: boolean;
}

/** Reads one item more than asked, to find out without counting whether there is a next page. */
export async function takePage<T>(
  { last, n }: PageRequest,
  list: (after: string, limit: number) => Promise<T[]>,
): Promise<Page<T>> {
  if (n === 0) return { items: [], more: false };
  const items = await list(last, n + 1);
  return { items: items.slice(0, n), more: items.length > n };
}
