// Finds the regular expressions of a source file, and generates their most expensive inputs.

/** A regular expression literal of a source file. */
export interface FoundExpression {
  readonly expression: RegExp;
  readonly line: number;
}

const string = /'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"/y;
const comment = /\/\/.*|\/\*[\s\S]*?\*\//y;
const literal = /\/((?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+)\/([a-z]*)/y;
const word = /[\w$]+/y;
const space = /\s+/y;
/** Words after which a slash begins a regular expression; after other words it is a division. */
const operators = /^(?:return|typeof|case|in|of|do|else|void|delete|throw|new|await|yield|instanceof)$/;

/** Scans JavaScript source, skipping strings, templates and comments. */
export function findExpressions(source: string): FoundExpression[] {
  const found: FoundExpression[] = [];
  /** For each open `${`: the number of open braces in it. */
  const templates: number[] = [];
  let before = '';
  let at = 0;
  const take = (token: RegExp): RegExpExecArray | undefined => {
    token.lastIndex = at;
    const match = token.exec(source);
    if (match === null) return undefined;
    at = token.lastIndex;
    return match;
  };
  const skipTemplate = (): void => {
    for (; at < source.length; at++) {
      if (source[at] === '\\') at++;
      else if (source[at] === '`') break;
      else if (source.startsWith('${', at)) {
        templates.push(0);
        at += 2;
        before = '(';
        return;
      }
    }
    at++;
    before = ')';
  };
  while (at < source.length) {
    if (take(space) || take(comment)) continue;
    if (take(string)) {
      before = ')';
      continue;
    }
    const name = take(word)?.[0];
    if (name !== undefined) {
      before = operators.test(name) ? '(' : ')';
      continue;
    }
    const start = at;
    if (source[at] === '/' && before !== ')') {
      const match = take(literal);
      if (match !== undefined) {
        const line = source.slice(0, start).split('\n').length;
        found.push({ expression: new RegExp(match[1] as string, match[2]), line });
        before = ')';
        continue;
      }
    }
    const sign = source[at++] as string;
    before = sign === ']' ? ')' : sign;
    if (sign === '`') skipTemplate();
    else if (templates.length > 0 && sign === '{') templates[templates.length - 1]! += 1;
    else if (templates.length > 0 && sign === '}') {
      if (templates.at(-1) !== 0) templates[templates.length - 1]! -= 1;
      else {
        templates.pop();
        skipTemplate();
      }
    }
  }
  return found;
}

const atom = /\\[pP]\{[^}]*\}|\\x[\da-fA-F]{2}|\\u[\da-fA-F]{4}|\\.|\[(?:\\.|[^\]\\])*\]|[^\\[\](){}*+?|^$]/g;
const quantifier = /^\)*(?:[*+]|\{\d+,\}|\{\d+,\d{3,}\})/;
const characters = [
  ...Array.from({ length: 128 }, (_, code) => String.fromCharCode(code)),
  'é',
  '\u0300',
  '\u2028',
  '😀',
];

/**
 * Generates inputs that make an expression backtrack. Characters matched by the same parts of the expression are equivalent, so one of
 * each class is enough. Each input is a prefix that the expression can match, then a run of one or two of these characters or of a
 * prefix with one of them, then either nothing or a character that nothing matches.
 *
 * @param short only runs of one character
 * @returns functions that generate an input of about `length` characters
 */
export function worstInputs(expression: RegExp, short = false): ((length: number) => string)[] {
  const { kinds, other, beginnings } = dissect(expression);
  const units = new Set(kinds);
  if (!short) for (const one of [...kinds, ...beginnings]) for (const two of kinds) units.add(one + two);
  return beginnings.flatMap((beginning) =>
    [...units].flatMap((unit) =>
      ['', other].map(
        (end) => (length: number) => beginning + unit.repeat(Math.ceil(length / unit.length)) + end,
      ),
    ),
  );
}

interface Parts {
  /** One character of each class. */
  readonly kinds: readonly string[];
  /** A character that no part matches, if there is one. */
  readonly other: string;
  /** Prefixes that match the expression up to each repeated part. */
  readonly beginnings: readonly string[];
}

function dissect({ source, flags }: RegExp): Parts {
  const plain = flags.replaceAll(/[gy]/g, '');
  const beginnings = new Set(['']);
  const tests: RegExp[] = [];
  let beginning = '';
  for (const match of withoutGroupHeads(source).matchAll(atom)) {
    if (/^\\[bBkd\d]$/.test(match[0]) && match[0] !== '\\d') continue;
    const one = new RegExp(`^(?:${match[0]})$`, plain);
    tests.push(one);
    if (quantifier.test(withoutGroupHeads(source).slice(match.index + match[0].length)))
      beginnings.add(beginning);
    beginning +=
      characters.findLast((character) => /\w/.test(character) && one.test(character)) ??
      characters.find((character) => one.test(character)) ??
      '';
  }
  const byKind = new Map<string, string>();
  for (const character of characters) {
    const kind = tests.map((one) => Number(one.test(character))).join('');
    if (!byKind.has(kind) || /[!-~]/.test(character)) byKind.set(kind, character);
  }
  const other = byKind.get('0'.repeat(tests.length)) ?? '';
  return { kinds: [...byKind.values()], other, beginnings: [...beginnings] };
}

function withoutGroupHeads(source: string): string {
  return source.replaceAll(/\(\?(?::|=|!|<=|<!|<[^>]+>)/g, '(');
}
