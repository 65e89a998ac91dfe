import { join } from 'node:path';
import ts from 'typescript';
import { ROOT } from '../helpers/compiled.js';

/** The entry points of the package, as types see them. */
export const ENTRIES = ['index', 'config', 'stdio', 'prometheus', 'opentelemetry'] as const;

type Entry = (typeof ENTRIES)[number];

/** The sources, as TypeScript understands them: documents are made from types and their comments, not from text. */
export interface Sources {
  readonly checker: ts.TypeChecker;
  readonly files: readonly ts.SourceFile[];
  /** What an entry point exports under this name. @throws Error if it exports no such thing */
  exported(name: string, entry?: Entry): ts.Symbol;
  /** The names of what an entry point exports. */
  names(entry: Entry): readonly string[];
}

/** Takes seconds: once for each file of tests. */
export function readSources(): Sources {
  const config = ts.readConfigFile(join(ROOT, 'tsconfig.json'), ts.sys.readFile).config;
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, ROOT);
  const paths = ENTRIES.map((entry) => join(ROOT, `src/${entry}.ts`));
  const program = ts.createProgram(paths, options);
  const checker = program.getTypeChecker();
  // TypeScript writes paths with `/` on every system.
  const folder = join(ROOT, 'src/').replaceAll('\\', '/');
  const exportsOf = (entry: Entry): ts.Symbol[] => {
    const file = program.getSourceFile(join(ROOT, `src/${entry}.ts`));
    const symbol = file && checker.getSymbolAtLocation(file);
    return symbol === undefined ? [] : checker.getExportsOfModule(symbol);
  };
  return {
    checker,
    files: program.getSourceFiles().filter(({ fileName }) => fileName.startsWith(folder)),
    exported(name, entry = 'index') {
      const found = exportsOf(entry).find((one) => one.name === name);
      if (found === undefined) throw new Error(`src/${entry}.ts exports no '${name}'`);
      return found.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(found) : found;
    },
    names: (entry) => exportsOf(entry).map(({ name }) => name),
  };
}

/** The comment of a declaration in one line, its links as code. Empty without one. */
export function documented(symbol: ts.Symbol, checker: ts.TypeChecker): string {
  return oneLine(ts.displayPartsToString(symbol.getDocumentationComment(checker)));
}

/** A comment in one line, its links as code. */
export function oneLine(comment: string): string {
  return comment
    .replaceAll(/\{@link (\w+)\}/g, '`$1`')
    .replaceAll(/\s+/g, ' ')
    .trim();
}

/** Names in the order of the alphabet, each once. */
export function sorted(names: Iterable<string>): string[] {
  return [...new Set(names)].sort();
}
