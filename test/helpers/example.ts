import { cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { compiledSource, ROOT } from './compiled.js';

/**
 * The path of a program of `examples/`, in a copy where the name of the package leads to the compiled source: what is built
 * may be of an earlier version.
 */
export function exampleProgram(path: string): string {
  const source = compiledSource();
  const folder = mkdtempSync(join(ROOT, '.tmp', 'examples-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  cpSync(join(ROOT, 'examples'), join(folder, 'examples'), { recursive: true });
  symlinkSync(source, join(folder, 'src'));
  const manifest = { name: 'mcp-server-pool', type: 'module', exports: './src/index.js' };
  writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest));
  return join(folder, 'examples', path);
}
