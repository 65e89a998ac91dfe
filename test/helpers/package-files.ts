import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './compiled.js';

export const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
  readonly version: string;
  readonly main: string;
  readonly types: string;
  readonly exports: Readonly<Record<string, string | { readonly types?: string; readonly default: string }>>;
  readonly typesVersions: { readonly '*': Readonly<Record<string, readonly string[]>> };
  readonly files: readonly string[];
  readonly engines: { readonly node: string };
  readonly scripts: Readonly<Record<string, string>>;
};

/** What npm packs, whatever `files` says. */
const ALWAYS = ['package.json', 'README.md', 'LICENSE'];

/** The paths of the files that are in the package; those of `dist` only where it was built. */
export function packageFiles(): ReadonlySet<string> {
  const found = [...ALWAYS, ...manifest.files].flatMap((entry) => {
    const path = join(ROOT, entry);
    if (!existsSync(path)) return [];
    if (!statSync(path).isDirectory()) return [entry];
    const inner = readdirSync(path, { recursive: true, withFileTypes: true }).filter((one) => one.isFile());
    return inner.map(({ parentPath, name }) => join(parentPath, name).slice(ROOT.length));
  });
  return new Set(found);
}
