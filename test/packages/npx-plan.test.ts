import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { planOf } from '../../src/packages/npx-plan.js';
import { packageSpec } from '../../src/packages/package-spec.js';

/** What npm is asked with, what is run and what the server gets; or why it is not understood. */
function read(command: string, ...args: string[]) {
  const planned = planOf(command, args);
  if (planned === undefined) return undefined;
  if ('refused' in planned) return planned.refused;
  const { subcommand, options, word, args: rest, packages, cache } = planned.plan;
  return { asked: [...subcommand, ...options], word, rest, packages: packages.map(({ shown }) => shown), cache };
}

const plan = (asked: string[], word: string, rest: string[] = [], packages = [word], cache?: string) => ({
  ...{ asked, word, rest, packages, cache },
});

describe('[PACKAGES-10] a command line of npx is read as npx reads it', () => {
  it.each([
    [['npx', 'pkg'], plan([], 'pkg')],
    [['npx', '-y', '@a/pkg@1.2.3', '/data', '-y'], plan(['-y'], '@a/pkg@1.2.3', ['/data', '-y'])],
    [['/usr/bin/npx', '--yes', '--', 'pkg', '--', 'x'], plan(['--yes'], 'pkg', ['--', 'x'])],
    [['C:\\node\\npx.cmd', '-y', 'pkg', '--', 'x'], plan(['-y'], 'pkg', ['--', 'x'])],
    [['npx', '-p', 'pkg', 'bin', '-p'], plan(['--package=pkg'], 'bin', ['-p'], ['pkg'])],
    [['npx', '-p=pkg', '--package', 'b', 'bin'], plan(['--package=pkg', '--package=b'], 'bin', [], ['pkg', 'b'])],
    [['npx', '--cache=/c', '--registry', 'http://r', 'pkg'], plan(['--registry=http://r'], 'pkg', [], ['pkg'], '/c')],
    [['npm', 'exec', '-y', '--', 'pkg', '--flag'], plan(['exec', '-y'], 'pkg', ['--flag'])],
    [['npm', 'x', '--yes', 'pkg', 'a', '--', '--flag'], plan(['x', '--yes'], 'pkg', ['a', '--flag'])],
    [['npm', 'exec', '--package=pkg', '--', 'bin', '-c'], plan(['exec', '--package=pkg'], 'bin', ['-c'], ['pkg'])],
    [['npx', '-y', 'github:a/b'], plan(['-y'], 'github:a/b')],
  ])('%j', ([command = '', ...args], expected) => {
    expect(read(command, ...args)).toEqual(expected);
  });

  it.each([
    [['npx'], 'names no package'],
    [['npx', '-y'], 'names no package'],
    [['npx', '-c', 'pkg'], 'the option -c'],
    [['npx', '--call=x', 'pkg'], 'the option --call'],
    [['npx', '-yq', 'pkg'], 'the option -yq'],
    [['npx', '--//r/:_authToken=secret', 'pkg'], 'has an option, which is not understood'],
    [['npx', '--registry'], 'the option --registry without a value'],
    [['npx', '-y', 'false'], 'has a value for the option -y'],
    [['npx', '--', '-x'], 'looks like an option'],
    [['npm', 'exec', '-p', 'pkg', 'bin'], 'the option -p'],
    [['npm', 'exec', 'pkg', '--flag'], "the option --flag before '--'"],
    [['npx', '-y', './folder'], 'names a folder or a file'],
    [['npx', '-y', '-p', 'file:x.tgz', 'bin'], 'names a folder or a file'],
  ])('%j is left to npx', ([command = '', ...args], why) => {
    const refused = read(command, ...args);
    expect(refused).toContain(why);
    expect(refused).not.toContain('secret');
  });

  it.each([['node', 'npx'], ['npm', 'run', 'x'], ['npm', 'start'], ['uvx', 'a'], ['docker', 'run', 'npx'], ['my-npx']])(
    '%s %s is no npx',
    (command, ...args) => expect(read(command, ...args)).toBeUndefined(),
  );

  it('whatever the words are: none is lost, and none of the server is an option of npm', () => {
    const word = fc.oneof(
      fc.constantFrom('-y', '--', '-p', '--package', '--package=a', 'pkg', '@a/b@1.0.0', '--cache', '-c', '--x', ''),
      fc.string({ maxLength: 8 }),
    );
    const property = fc.property(fc.constantFrom('npx', 'npm'), fc.array(word, { maxLength: 8 }), (tool, words) => {
      const planned = planOf(tool, tool === 'npm' ? ['exec', ...words] : words);
      if (planned === undefined || 'refused' in planned) return;
      const { word: run, args, options } = planned.plan;
      expect(words).toContain(run);
      const plain = (list: readonly string[]) => list.filter((one) => one !== '--');
      const rest = plain(args);
      expect(plain(words).slice(plain(words).length - rest.length)).toEqual(rest);
      for (const option of options) expect(option).toMatch(/^-/);
    });
    fc.assert(property);
  });
});

describe('[PACKAGES-11] what a word names', () => {
  it.each([
    ['pkg', 'registry', false],
    ['pkg@latest', 'registry', false],
    ['pkg@^1.2.0', 'registry', false],
    ['pkg@1', 'registry', false],
    ['pkg@1.2.3', 'registry', true],
    ['@a/b@v1.2.3-beta.1+x', 'registry', true],
    ['@a/b', 'registry', false],
    ['x@npm:pkg@1.2.3', 'registry', true],
    ['x@npm:@a/pkg', 'registry', false],
    ['a/b', 'remote', false],
    ['github:a/b#main', 'remote', false],
    [`a/b#${'0'.repeat(40)}`, 'remote', true],
    ['git+ssh://git@host/a.git', 'remote', false],
    ['git@github.com:a/b.git', 'remote', false],
    ['https://host/a.tgz', 'remote', false],
    ['pkg@https://host/a.tgz', 'remote', false],
    ['.', 'local', false],
    ['./a', 'local', false],
    ['/a/b', 'local', false],
    ['~/a', 'local', false],
    ['a.tgz', 'local', false],
    ['a/b/c', 'local', false],
    ['file:../a', 'local', false],
    ['pkg@file:../a', 'local', false],
  ])('%s', (raw, kind, isPinned) => {
    expect(packageSpec(raw)).toMatchObject({ kind, isPinned });
  });

  it('is shown without credentials', () => {
    const shown = packageSpec('https://user:secret@host/a.tgz?token=secret#x').shown;
    expect(shown).toBe('https://host/a.tgz#x');
    expect(packageSpec('pkg@git+https://secret@host/a.git').shown).toBe('pkg@git+https://host/a.git');
    fc.assert(fc.property(fc.string(), (raw) => packageSpec(raw).shown.length <= 200));
  });
});
