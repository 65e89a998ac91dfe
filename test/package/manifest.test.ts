import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ROOT } from '../helpers/compiled.js';
import { manifest } from '../helpers/package-files.js';

/** What resolvers that read `exports` find for the types of an entry point. */
const typesOf = (subpath: string) => {
  const entry = manifest.exports[subpath];
  return typeof entry === 'string' ? entry : (entry?.types ?? entry?.default);
};
/** Those below the package, without its package.json, which every resolver finds. */
const subpaths = Object.keys(manifest.exports).filter((subpath) => subpath !== '.' && subpath !== './package.json');

describe('package.json', () => {
  it('[RELEASE-2] has the version that servers see, and that the changelog describes', () => {
    const handshake = readFileSync(join(ROOT, 'src/protocol/eras/handshake.ts'), 'utf8');
    expect(handshake).toContain(`const VERSION = '${manifest.version}';`);
    const [released] =
      readFileSync(join(ROOT, 'CHANGELOG.md'), 'utf8').match(/^## \[\d[^\]]*\] - \d{4}-\d\d-\d\d$/m) ?? [];
    expect(released).toContain(`## [${manifest.version}] - `);
  });

  it('[PACKAGE-2] resolvers that do not read `exports` find the same types: main, types, typesVersions', () => {
    expect(manifest.main).toBe((manifest.exports['.'] as { default: string }).default);
    expect(manifest.types).toBe(typesOf('.'));
    expect(subpaths.length).toBeGreaterThanOrEqual(3);
    const expected = Object.fromEntries(subpaths.map((subpath) => [subpath.slice(2), [typesOf(subpath)]]));
    expect(manifest.typesVersions).toEqual({ '*': expected });
  });

  it('[PACKAGE-2] every entry point with types is built with declarations', () => {
    const config = readFileSync(join(ROOT, 'tsup.config.ts'), 'utf8');
    const entries = Object.keys(manifest.exports).filter((subpath) => typesOf(subpath)?.endsWith('.d.ts'));
    for (const subpath of entries) {
      const types = typesOf(subpath) as string;
      // Once to build it, once for its declarations.
      const source = types.replace('./dist/', 'src/').replace('.d.ts', '.ts');
      expect(config.split(`'${source}'`).length - 1, source).toBe(2);
    }
  });
});
