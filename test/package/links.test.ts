import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ROOT } from '../helpers/compiled.js';
import { anchorsOf, linksOf } from '../helpers/markdown.js';
import { packageFiles } from '../helpers/package-files.js';

const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');
const files = packageFiles();
const pages = [...files].filter((path) => path.endsWith('.md'));

/** Whether there is a file or a folder at this path of the package. */
const has = (path: string) => files.has(path) || [...files].some((file) => file.startsWith(`${path}/`));

/** What is wrong with a relative link of a page. */
function problemOf(page: string, target: string): string | undefined {
  const [path = '', anchor] = decodeURIComponent(target).split('#');
  const file = path === '' ? page : normalize(join(dirname(page), path)).replace(/\/$/, '');
  if (!has(file)) return `${file} is not in the package`;
  if (anchor !== undefined && file.endsWith('.md') && !anchorsOf(read(file)).has(anchor))
    return `${file} has no heading #${anchor}`;
  return undefined;
}

describe('what the package says about itself', () => {
  it('[PACKAGE-1] every relative link of its pages leads to a file of the package, and to a heading of it', () => {
    const links = pages.flatMap((page) => linksOf(read(page)).map((link) => ({ page, ...link })));
    const relative = links.filter(({ target }) => !/^[a-z][a-z0-9+.-]*:/i.test(target));
    expect(pages.length).toBeGreaterThan(15);
    expect(relative.length).toBeGreaterThan(60);
    const broken = relative.flatMap(({ page, line, target }) => {
      const problem = problemOf(page, target);
      return problem === undefined ? [] : [`${page}:${line}: ${target}: ${problem}`];
    });
    expect(broken).toEqual([]);
  });

  it('[PACKAGE-1] finds links that lead nowhere', () => {
    const page = ['[a](docs/none.md) [b](README.md#none) `[c](code.md)`', '```', '[d](fenced.md)', '```', '[e]: x.md'];
    const links = linksOf(page.join('\n'));
    expect(links.map(({ target, line }) => [target, line])).toEqual([
      ['docs/none.md', 1],
      ['README.md#none', 1],
      ['x.md', 5],
    ]);
    for (const { target } of links) expect(problemOf('README.md', target)).toBeDefined();
    expect(problemOf('docs/moving.md', '../README.md')).toBeUndefined();
    expect(problemOf('README.md', 'test/requirements.ts')).toBe('test/requirements.ts is not in the package');
    const headings = '# A `b` & C\n## A `b` & C\n## [Log](x.md) it, _now_';
    expect([...anchorsOf(headings)]).toEqual(['a-b--c', 'a-b--c-1', 'log-it-_now_']);
  });

  it('[PACKAGE-1] every page of docs that the sources, examples and pages name is in the package', () => {
    const sources = ['src', 'examples'].flatMap((folder) =>
      readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' }).map((file) => `${folder}/${file}`),
    );
    const named = [...sources.filter((file) => /\.[jt]s$/.test(file)), ...pages].flatMap((file) =>
      // Not a part of an address.
      [...read(file).matchAll(/(?<![\w/.-])docs\/[\w./-]+\.(?:md|json|yml)\b/g)].map(([path]) => ({ file, path })),
    );
    expect(named.length).toBeGreaterThan(10);
    expect(named.filter(({ path }) => !files.has(path))).toEqual([]);
  });
});
