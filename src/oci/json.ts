import { RegistryError } from './errors.ts';
import { atOnce, type Steps } from './steps.ts';

const maxDepth = 64;
/** Fields and list entries in all: ten for each of the references that a manifest may have (see manifest.ts). */
const maxValues = 100_000;
/**
 * Keys, counted again only behind other keys than before: the engine keeps a shape for each, and a hundred thousand of them
 * keep `JSON.parse` busy for 100 ms.
 */
const maxShapes = 10_000;
/** Characters that one step of the check reads: less than a millisecond of work. */
const charactersInStep = 1 << 16;

/** {@link readStrictJson} at once. */
export function parseStrictJson(bytes: Uint8Array): unknown {
  return atOnce(readStrictJson(bytes));
}

/**
 * Parses JSON that other programs will parse too, and refuses what parsers disagree about: duplicate keys
 * (JavaScript keeps the last, others the first), `__proto__`, and nesting that overflows a stack somewhere.
 *
 * @throws RegistryError `MANIFEST_INVALID`
 */
export function* readStrictJson(bytes: Uint8Array): Steps<unknown> {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    yield* checkStructure(text);
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
 * Walks the text once, with an explicit stack: recursion would be the overflow it guards against. Before `JSON.parse`, which
 * takes a second of the event loop for 4 MiB of brackets or of tiny fields; so the text may still be no JSON at all.
 */
function* checkStructure(text: string): Steps<void> {
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
    if (values > maxValues) throw invalid(`more than ${maxValues} fields and list entries`);
    if (shapes > maxShapes) throw invalid(`objects of more than ${maxShapes} different shapes`);
    if (i >= nextStep) {
      yield;
      nextStep = i + charactersInStep;
    }
  }
}

function endOfString(text: string, start: number): number {
  // Most texts have no escape in them, and searching for the end is ten times as fast as looking at each character.
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

/** What an object has so far: the shapes that one key more may make of it. */
type Shape = Map<string, Shape>;

interface OpenObject {
  readonly keys: Set<string>;
  shape: Shape;
}

/** Whether the object has a shape now that none had before. */
function addKey(object: OpenObject | undefined, literal: string): boolean {
  const key = literal.includes('\\') ? (JSON.parse(literal) as string) : literal.slice(1, -1);
  if (key === '__proto__') throw invalid('the key "__proto__" is not accepted');
  if (object === undefined) return false;
  if (object.keys.has(key)) {
    throw invalid(`the key ${JSON.stringify(key.slice(0, 80))} stands twice in one object`);
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
