import assert from 'node:assert/strict';

/**
 * A token of the given length, padded in its header and claims: one base64 text cannot have every length, but two together can.
 */
export async function tokenOfLength(
  length: number,
  make: (header: string, claims: string) => string | Promise<string>,
): Promise<string> {
  for (const more of ['', 'x', 'xx', 'xxx']) {
    const missing = length - (await make(more, '')).length;
    const about = Math.floor((missing * 3) / 4);
    for (const chars of [about - 1, about, about + 1]) {
      const token = await make(more, 'x'.repeat(chars));
      if (token.length === length) return token;
    }
  }
  return assert.fail(`no token has ${length} characters`);
}
