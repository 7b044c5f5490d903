/** Work in steps of about a millisecond: yields between steps, so that other work can run, and returns the result. */
export type Steps<T> = Generator<void, T>;

/** Runs all steps without a pause. */
export function runSteps<T>(steps: Steps<T>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}
