import { RegistryError } from './errors.ts';
import { runSteps, type Steps } from './steps.ts';

const maxDepth = 64;
/** Total fields and list entries: ten for each reference that a manifest may have (see manifest.ts). */
const maxValues = 100_000;
/**
 * Object shapes (distinct sequences of keys): V8 keeps a hidden class for each, and a hundred thousand of them keep `JSON.parse`
 * busy for 100 ms.
 */
const maxShapes = 10_000;
/** Characters that are checked in one step, in less than a millisecond. */
const charactersInStep = 1 << 16;

/** {@link readStrictJson} without pauses between its steps. */
export function parseStrictJson(bytes: Uint8Array, values = maxValues): unknown {
  return runSteps(readStrictJson(bytes, values));
}

/**
 * Parses JSON that other programs will parse too. Rejects JSON that parsers read differently: duplicate keys (JavaScript keeps the
 * last, others the first), `__proto__`, and nesting that overflows the stack of some parsers.
 *
 * @param values the most fields and list entries
 * @throws RegistryError `MANIFEST_INVALID`
 */
export function* readStrictJson(bytes: Uint8Array, values = maxValues): Steps<unknown> {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    yield* checkStructure(text, values);
    return JSON.parse(text);
  } catch (cause) {
    if (cause instanceof RegistryError) throw cause;
    throw new RegistryError('MANIFEST_INVALID', 'not valid JSON in UTF-8', { cause });
  }
}

const quoteMark = 0x22;
const comma = 0x2c;
const backslash = 0x5c;

/**
 * Scans the text once, with an explicit stack instead of recursion, which could overflow. Runs before `JSON.parse`, which would
 * block the event loop for a second on 4 MiB of brackets or tiny fields. So the text may still be invalid JSON here.
 */
function* checkStructure(text: string, limit: number): Steps<void> {
  const objects: (OpenObject | undefined)[] = [];
  const root: Shape = new Map();
  let [values, shapes] = [0, 0];
  let nextStep = charactersInStep;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === quoteMark) {
      const end = endOfString(text, i);
      if (isKey(text, end) && addKey(objects.at(-1), text.slice(i, end))) shapes++;
      i = end - 1;
    } else if (code === 0x7b /* { */ || code === 0x5b /* [ */) {
      if (objects.length === maxDepth) throw invalid(`nested deeper than ${maxDepth} levels`);
      objects.push(code === 0x7b ? { keys: new Set(), shape: root } : undefined);
      values++;
    } else if (code === 0x7d /* } */ || code === 0x5d /* ] */) {
      objects.pop();
    } else if (code === comma) {
      values++;
    }
    if (values > limit) throw invalid(`more than ${limit} fields and list entries`);
    if (shapes > maxShapes) throw invalid(`objects of more than ${maxShapes} different shapes`);
    if (i >= nextStep) {
      yield;
      nextStep = i + charactersInStep;
    }
  }
}

function endOfString(text: string, start: number): number {
  // Most strings have no escapes, and `indexOf` is ten times as fast as checking each character.
  const quote = text.indexOf('"', start + 1);
  if (quote === -1) return text.length;
  if (text.charCodeAt(quote - 1) !== backslash) return quote + 1;
  for (let i = start + 1; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === backslash) i++;
    else if (code === quoteMark) return i + 1;
  }
  return text.length;
}

function isKey(text: string, after: number): boolean {
  let i = after;
  while (text.charCodeAt(i) <= 0x20) i++;
  return text[i] === ':';
}

/** A sequence of keys, as a tree: each further key leads to the next shape. */
type Shape = Map<string, Shape>;

interface OpenObject {
  readonly keys: Set<string>;
  shape: Shape;
}

/** Returns whether the key leads to a new shape. */
function addKey(object: OpenObject | undefined, literal: string): boolean {
  const key = literal.includes('\\') ? (JSON.parse(literal) as string) : literal.slice(1, -1);
  if (key === '__proto__') throw invalid('the key "__proto__" is not accepted');
  if (object === undefined) return false;
  if (object.keys.has(key)) {
    throw invalid(`the key ${JSON.stringify(key.slice(0, 80))} occurs twice in one object`);
  }
  object.keys.add(key);
  const known = object.shape.get(key);
  const shape: Shape = known ?? new Map();
  if (known === undefined) object.shape.set(key, shape);
  object.shape = shape;
  return known === undefined;
}

function invalid(detail: string): RegistryError {
  return new RegistryError('MANIFEST_INVALID', detail);
}
