import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { problemsOf } from '../helpers/blocks.js';
import { ROOT } from '../helpers/compiled.js';
import { codeBlocks } from '../helpers/markdown.js';
import { packageFiles } from '../helpers/package-files.js';

const pages = [...packageFiles()].filter((path) => path.endsWith('.md'));
const blocks = pages.flatMap((page) =>
  codeBlocks(readFileSync(join(ROOT, page), 'utf8'), 'js', 'ts').map((block) => ({ page, ...block })),
);

describe('what the pages show', () => {
  it('[MOVING-9] every block of code compiles; one that does not is found, with its line', () => {
    const code = "import { MCPServerPool } from 'mcp-server-pool';\n\nnew MCPServerPool({ server: {} });\n";
    const wrong = { page: 'wrong.md', name: undefined, code };
    expect(blocks.length).toBeGreaterThan(50);
    const both = [
      { ...wrong, language: 'js', line: 10 },
      { ...wrong, language: 'ts', line: 20 },
    ];
    expect(problemsOf([...blocks, ...both])).toEqual([
      expect.stringMatching(/^wrong\.md:12: .*'server'/),
      expect.stringMatching(/^wrong\.md:22: .*'server'/),
    ]);
  });
});
