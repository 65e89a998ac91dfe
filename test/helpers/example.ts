import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';
import { compiledSource, ROOT } from './compiled.js';

/**
 * The path of a program of `examples/`, in a copy where the name of the package leads to the compiled source: what is built
 * may be of an earlier version.
 * @param packages other packages that it finds in place of those that are installed: by name, the installed one to take
 */
export function exampleProgram(path: string, packages: Readonly<Record<string, string>> = {}): string {
  const source = compiledSource();
  const folder = mkdtempSync(join(ROOT, '.tmp', 'examples-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  cpSync(join(ROOT, 'examples'), join(folder, 'examples'), { recursive: true });
  symlinkSync(source, join(folder, 'src'));
  const exports = { '.': './src/index.js', './prometheus': './src/prometheus.js' };
  const manifest = { name: 'mcp-server-pool', type: 'module', exports };
  writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest));
  for (const [name, installed] of Object.entries(packages)) {
    const place = join(folder, 'node_modules', name);
    mkdirSync(dirname(place), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules', installed), place);
  }
  return join(folder, 'examples', path);
}

/** A module beside an example, as the example itself imports it: by Node, and not by the runner of the tests. */
export function exampleModule<T>(program: string, specifier: string): T {
  return createRequire(program)(specifier) as T;
}
