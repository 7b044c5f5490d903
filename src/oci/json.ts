import { RegistryError } from './errors.ts';

const maxDepth = 64;

/**
 * Parses JSON that other programs will parse too, and refuses what parsers disagree about: duplicate keys
 * (JavaScript keeps the last, others the first), `__proto__`, and nesting that overflows a stack somewhere.
 *
 * @throws RegistryError `MANIFEST_INVALID`
 */
export function parseStrictJson(bytes: Uint8Array): unknown {
  let text: string;
  let value: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    value = JSON.parse(text);
  } catch (cause) {
    throw new RegistryError('MANIFEST_INVALID', 'not valid JSON in UTF-8', { cause });
  }
  checkKeys(text);
  return value;
}

const quoteMark = 0x22;
const backslash = 0x5c;

/** Walks the text of valid JSON once, with an explicit stack: recursion would be the overflow it guards against. */
function checkKeys(text: string): void {
  const objects: (Set<string> | undefined)[] = [];
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === quoteMark) {
      const end = endOfString(text, i);
      if (isKey(text, end)) addKey(objects.at(-1), text.slice(i, end));
      i = end - 1;
    } else if (code === 0x7b /* { */ || code === 0x5b /* [ */) {
      if (objects.length === maxDepth) {
        throw new RegistryError('MANIFEST_INVALID', `nested deeper than ${maxDepth} levels`);
      }
      objects.push(code === 0x7b ? new Set() : undefined);
    } else if (code === 0x7d /* } */ || code === 0x5d /* ] */) {
      objects.pop();
    }
  }
}

function endOfString(text: string, start: number): number {
  for (let i = start + 1; ; i++) {
    const code = text.charCodeAt(i);
    if (code === backslash) i++;
    else if (code === quoteMark) return i + 1;
  }
}

function isKey(text: string, after: number): boolean {
  let i = after;
  while (text.charCodeAt(i) <= 0x20) i++;
  return text[i] === ':';
}

function addKey(keys: Set<string> | undefined, literal: string): void {
  const key = literal.includes('\\') ? (JSON.parse(literal) as string) : literal.slice(1, -1);
  if (key === '__proto__') throw new RegistryError('MANIFEST_INVALID', 'the key "__proto__" is not accepted');
  if (keys?.has(key)) {
    throw new RegistryError(
      'MANIFEST_INVALID',
      `the key ${JSON.stringify(key.slice(0, 80))} stands twice in one object`,
    );
  }
  keys?.add(key);
}
