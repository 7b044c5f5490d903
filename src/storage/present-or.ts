/** Returns `absent` on ENOENT and throws every other error, so that a failed lookup is never taken for absence. */
export async function presentOr<T, U>(absent: U, operation: Promise<T>): Promise<T | U> {
  try {
    return await operation;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return absent;
    throw error;
  }
}
