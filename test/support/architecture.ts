import { dirname, posix } from 'node:path';
import { type Import, lineAt, readImports } from './imports.ts';

/** The imports that a folder of src/ may have, besides its own files. */
export interface FolderRules {
  /** Folders. */
  readonly from: readonly string[];
  /** Folders, and reserved Node modules, from which it may import types only. */
  readonly types?: readonly string[];
  /** npm packages. */
  readonly packages: readonly string[];
}

export interface Rules {
  readonly folders: Readonly<Record<string, FolderRules>>;
  /** Files and folders of src/ without restrictions. */
  readonly unrestricted: readonly string[];
  /** A folder whose types any other may import. */
  readonly sharedTypes: string;
  /** Node modules that only some folders may use. */
  readonly reserved: Readonly<Record<string, readonly string[]>>;
}

/** The text of each file, by its path in the repository. */
export type Sources = ReadonlyMap<string, string>;

/** A sentence for each violation; empty if there are none. */
export function findViolations(sources: Sources, rules: Rules): string[] {
  return [...sources].flatMap(([file, source]) => [
    ...findStyleViolations(file, source),
    ...findWrongImports(file, source, rules),
  ]);
}

function findStyleViolations(file: string, source: string): string[] {
  const found: string[] = [];
  if (file.endsWith('/index.ts')) {
    found.push(`${file}: no barrels: import from the file that defines the thing`);
  }
  const standard = /^export default\b/m.exec(source);
  if (standard) found.push(`${file}:${lineAt(source, standard.index)}: no default exports`);
  for (const { specifier, line, reexport } of readImports(source)) {
    const place = `${file}:${line}: '${specifier}'`;
    if (reexport) found.push(`${place}: no re-exports: import from the file that defines the thing`);
    const inside = specifier.startsWith('.') && resolve(file, specifier).startsWith('src/');
    if (inside && !specifier.endsWith('.ts')) found.push(`${place}: must end in .ts`);
  }
  return found;
}

function findWrongImports(file: string, source: string, rules: Rules): string[] {
  const folder = folderOf(file);
  // Tests are beside the code and may import everything.
  if (isTest(file) || rules.unrestricted.includes(folder)) return [];
  const allowedImports = rules.folders[folder];
  if (!allowedImports)
    return [`${file}: "${folder}" is not a known folder of src/; add it to test/architecture.test.ts`];
  return readImports(source).flatMap((entry) => {
    const allowed = whatIsAllowed(file, folder, allowedImports, entry, rules);
    return allowed ? [`${file}:${entry.line}: imports '${entry.specifier}', but ${allowed}`] : [];
  });
}

/** For a forbidden import, the allowed ones; `undefined` if the import is allowed. */
function whatIsAllowed(
  file: string,
  folder: string,
  allowedImports: FolderRules,
  entry: Import,
  rules: Rules,
): string | undefined {
  const { specifier, typeOnly } = entry;
  if (specifier.startsWith('node:')) {
    const module = specifier.split('/')[0]!; // node:fs/promises is node:fs
    const users = rules.reserved[module];
    if (!users || users.includes(folder) || (typeOnly && allowedImports.types?.includes(module)))
      return undefined;
    return `only ${listOf('folder', users)} may use ${module}`;
  }
  if (!specifier.startsWith('.')) {
    const name = /^(@[^/]+\/)?[^/]+/.exec(specifier)![0];
    return allowedImports.packages.includes(name)
      ? undefined
      : `${folder} may use ${listOf('package', allowedImports.packages)}`;
  }
  const target = resolve(file, specifier);
  const targetFolder = target.startsWith('src/') ? folderOf(target) : target;
  const types = [...(allowedImports.types ?? []), rules.sharedTypes];
  const open = [folder, ...allowedImports.from, ...(typeOnly ? types : [])];
  if (open.includes(targetFolder)) return undefined;
  return `${folder} may import from ${listOf('folder', allowedImports.from)}, and types from ${types.join(', ')}`;
}

const isTest = (file: string) => /\.(test|contract)\.ts$/.test(file);

/** `src/core/blobs.ts` → `core`, `src/app.ts` → `app.ts` */
const folderOf = (file: string) => file.split('/')[1]!;

const resolve = (file: string, specifier: string) => posix.join(dirname(file), specifier);

const listOf = (what: string, names: readonly string[]) => names.join(', ') || `no ${what}`;

/** Cycles of imports between files, types included, each once: `a.ts → b.ts → a.ts`. */
export function findFileCycles(sources: Sources): string[] {
  return findCycles(
    new Map([...sources].map(([file, source]) => [file, new Set(importedFiles(file, source))] as const)),
  );
}

/**
 * Cycles of imports between folders, at every depth: `src/access/login` and `src/access/tokens` are compared like `src/core` and
 * `src/http`. Tests do not count, as they may import everything; a folder and its parent may share types.
 */
export function findFolderCycles(sources: Sources, unrestricted: readonly string[]): string[] {
  const graph = new Map<string, Set<string>>();
  for (const [file, source] of sources) {
    if (isTest(file) || unrestricted.includes(folderOf(file))) continue;
    for (const target of importedFiles(file, source)) {
      const [from, to] = siblingFolders(file, target);
      if (from === undefined || to === undefined) continue;
      graph.set(from, (graph.get(from) ?? new Set()).add(to));
      if (!graph.has(to)) graph.set(to, new Set());
    }
  }
  return findCycles(graph);
}

/** The two sibling folders that contain one file each. */
function siblingFolders(file: string, target: string): [from?: string, to?: string] {
  const [a, b] = [dirname(file).split('/'), dirname(target).split('/')];
  const shared = a.findIndex((part, depth) => part !== b[depth]);
  if (shared === -1 || b[shared] === undefined) return [];
  return [a.slice(0, shared + 1).join('/'), b.slice(0, shared + 1).join('/')];
}

function importedFiles(file: string, source: string): string[] {
  const relative = readImports(source).filter(({ specifier }) => specifier.startsWith('.'));
  return relative.map(({ specifier }) => resolve(file, specifier));
}

function findCycles(graph: ReadonlyMap<string, ReadonlySet<string>>): string[] {
  const done = new Set<string>();
  const cycles: string[] = [];
  const visit = (node: string, path: readonly string[]) => {
    if (path.includes(node)) cycles.push([...path.slice(path.indexOf(node)), node].join(' → '));
    if (done.has(node) || path.includes(node)) return;
    for (const next of graph.get(node) ?? []) visit(next, [...path, node]);
    done.add(node);
  };
  for (const node of graph.keys()) visit(node, []);
  return cycles;
}
