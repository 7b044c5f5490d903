/** A time for people and scripts alike: UTC, to the second. */
export function showTime(time: number): string {
  return `${new Date(time).toISOString().slice(0, 19)}Z`;
}
