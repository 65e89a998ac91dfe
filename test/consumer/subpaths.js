// The entry points of a package, as its package.json has them: what is added there is covered here.
import { readFileSync } from 'node:fs';

/**
 * @param {string} path of a package.json
 * @returns one for each key of `exports`: `specifier` as hosts write it, `file` that is loaded, `types` (undefined without
 *   declarations)
 */
export function subpathsOf(path) {
  const { name, exports } = JSON.parse(readFileSync(path, 'utf8'));
  return Object.entries(exports).map(([key, entry]) => ({
    specifier: `${name}${key.slice(1)}`,
    file: typeof entry === 'string' ? entry : entry.default,
    types: entry.types,
  }));
}
