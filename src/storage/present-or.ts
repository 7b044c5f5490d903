/** Absence is a value; every other failure stays one, so that 'could not look' is never taken for 'not there'. */
export async function presentOr<T, U>(absent: U, operation: Promise<T>): Promise<T | U> {
  try {
    return await operation;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return absent;
    throw error;
  }
}
