/** Shares the result of `work` with all calls within `milliseconds` of its start. */
export function sharedFor<T>(milliseconds: number, work: () => Promise<T>): () => Promise<T> {
  let last: { readonly begun: number; readonly outcome: Promise<T> } | undefined;
  return () => {
    const now = performance.now();
    if (last === undefined || now - last.begun >= milliseconds) last = { begun: now, outcome: work() };
    return last.outcome;
  };
}
