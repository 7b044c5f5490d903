// Settings from a YAML file, with their positions.
import { isAlias, isMap, isScalar, LineCounter, type Node, parseDocument } from 'yaml';
import { didYouMean, formatValue } from './mistake.ts';
import type { Settings } from './settings.ts';
import type { Given, Source } from './source.ts';
import { readTextFile } from './text-file.ts';

export function readConfigFile(settings: Settings, file: string): Source {
  const read = readTextFile(file);
  if ('text' in read) return parseConfigFile(settings, file, read.text);
  return { given: new Map(), mistakes: [`${file}: the file cannot be read: ${read.reason}`] };
}

export function parseConfigFile({ settings, sections }: Settings, file: string, text: string): Source {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const at = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return `${file}:${line}:${col}`;
  };
  const problems = [...document.errors, ...document.warnings];
  if (problems.length > 0) {
    return {
      given: new Map(),
      mistakes: problems.map((problem) => `${at(problem.pos[0])}: ${problem.message}`),
    };
  }

  const known = new Set([...settings, ...sections].map(({ key }) => key));
  const leaves = new Set(settings.map(({ key }) => key));
  const given = new Map<string, Given>();
  const mistakes: string[] = [];

  const visit = (node: Node | null, prefix: string, where: string) => {
    if (isEmpty(node)) return; // a section whose keys are all commented out
    const here = childrenOf(prefix, known);
    if (!isMap(node)) {
      const secret = settings.some(({ key, writeOnly }) => writeOnly && isBelow(prefix, key));
      const what = `${prefix || 'the file'} is ${formatValue(node?.toJS(document), secret)}`;
      mistakes.push(`${where}: ${what}; allowed: the keys ${here.join(', ')}`);
      return;
    }
    for (const pair of node.items) {
      const name = isScalar(pair.key) ? String(pair.key.value) : String(pair.key);
      const key = prefix ? `${prefix}.${name}` : name;
      const start = (pair.key as Node).range?.[0] ?? 0;
      const value = resolveAlias(pair.value as Node | null);
      const place = at(isEmpty(value) ? start : ((pair.value as Node).range?.[0] ?? start));
      if (!here.includes(name)) {
        const hint = didYouMean(key, known) || `; allowed: ${here.join(', ')}`;
        mistakes.push(`${at(start)}: unknown key ${key}${hint}`);
      } else if (leaves.has(key)) {
        given.set(key, { value: value?.toJS(document), where: place });
      } else {
        visit(value, key, place);
      }
    }
  };
  const resolveAlias = (node: Node | null) => (isAlias(node) ? (node.resolve(document) ?? null) : node);

  visit(document.contents, '', at(0));
  return { given, mistakes };
}

function isEmpty(node: Node | null): boolean {
  return node === null || (isScalar(node) && node.value === null);
}

/** Names of the keys directly below a key. */
function childrenOf(prefix: string, keys: ReadonlySet<string>): string[] {
  const start = prefix ? prefix.length + 1 : 0;
  return [...keys]
    .filter((key) => isBelow(prefix, key) && !key.includes('.', start))
    .map((key) => key.slice(start));
}

function isBelow(prefix: string, key: string): boolean {
  return prefix === '' || key.startsWith(`${prefix}.`);
}
