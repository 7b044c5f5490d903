/** One `import … from`, `export … from` or `import('…')` of a source file. */
export interface Import {
  readonly specifier: string;
  readonly line: number;
  /** A type import, erased at run time. */
  readonly typeOnly: boolean;
  readonly reexport: boolean;
}

const statement = /^(import|export)\s+(?:([\w$*{},\s]+?)\s+from\s+)?['"]([^'"]+)['"]/gm;
const expression = /^(?!\s*(?:\/\/|\*)).*\bimport\(\s*['"]([^'"]+)['"]/gm;

/** Parses imports of text formatted by Biome, where statements begin a line. */
export function readImports(source: string): Import[] {
  const statements = [...source.matchAll(statement)].map(
    ({ 1: keyword, 2: clause = '', 3: specifier, index }) => ({
      specifier: specifier!,
      line: lineAt(source, index),
      typeOnly: isTypeOnly(clause),
      reexport: keyword === 'export',
    }),
  );
  const expressions = [...source.matchAll(expression)].map(({ 1: specifier, index }) => ({
    specifier: specifier!,
    line: lineAt(source, index),
    typeOnly: false,
    reexport: false,
  }));
  return [...statements, ...expressions];
}

/** `type X`, `type { X }`, `{ type X, type Y }` */
function isTypeOnly(clause: string): boolean {
  if (/^type\s/.test(clause)) return true;
  const names = /^\{(.*)\}$/s
    .exec(clause)?.[1]
    ?.split(',')
    .filter((name) => name.trim() !== '');
  return names?.every((name) => /^\s*type\s/.test(name)) ?? false;
}

export const lineAt = (source: string, index: number) => source.slice(0, index).split('\n').length;
