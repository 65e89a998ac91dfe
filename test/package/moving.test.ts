import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ROOT } from '../helpers/compiled.js';
import { codeBlocks } from '../helpers/markdown.js';

const page = readFileSync(join(ROOT, 'docs/moving.md'), 'utf8');

/** What TypeScript says about each block of code, with its line in the page. */
function problemsOf(blocks: readonly { code: string; line: number }[]): string[] {
  mkdirSync(join(ROOT, '.tmp'), { recursive: true });
  const folder = mkdtempSync(join(ROOT, '.tmp', 'blocks-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  // A block shows how the adapter is used by a file beside its folder.
  cpSync(join(ROOT, 'examples/metamcp'), join(folder, 'metamcp'), { recursive: true });
  const files = new Map(
    blocks.map(({ code, line }) => {
      const file = join(folder, `line-${line}.ts`);
      writeFileSync(file, code);
      return [file, line];
    }),
  );
  const config = ts.readConfigFile(join(ROOT, 'tsconfig.json'), ts.sys.readFile).config;
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, ROOT);
  // As short as a page may be: its functions name no types.
  const program = ts.createProgram([...files.keys()], { ...options, noImplicitAny: false });
  // Of these files alone: the rest of the program is checked by `npm run types`.
  const found = [...files.keys()].flatMap((file) => {
    const source = program.getSourceFile(file);
    return [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)];
  });
  return found.map(({ file, start = 0, messageText }) => {
    const line = (files.get(file?.fileName ?? '') ?? 0) + (file?.getLineAndCharacterOfPosition(start).line ?? 0);
    return `docs/moving.md:${line}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`;
  });
}

describe('docs/moving.md', () => {
  const blocks = codeBlocks(page, 'js', 'ts');

  it('[MOVING-9] every block of code compiles; one that does not is found, with its line', () => {
    const wrong = "import { MCPServerPool } from 'mcp-server-pool';\n\nnew MCPServerPool({ server: {} });\n";
    expect(blocks.length).toBeGreaterThan(7);
    expect(problemsOf([...blocks, { code: wrong, line: 100_000 }])).toEqual([
      expect.stringMatching(/^docs\/moving\.md:100002: .*'server'/),
    ]);
  });
});
