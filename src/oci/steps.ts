/** Work in steps of a millisecond or so: it yields wherever something else may have its turn, and returns the result. */
export type Steps<T> = Generator<void, T>;

/** All steps, one after another. */
export function atOnce<T>(steps: Steps<T>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}
