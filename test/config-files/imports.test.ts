import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

const SRC = new URL('../../src/', import.meta.url);

it('[CONFIG-16] what a host does not import is not loaded: only configuration files need their parsers, and nothing imports them', () => {
  const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
  const importing = (pattern: RegExp) => files.filter((file) => pattern.test(readFileSync(new URL(file, SRC), 'utf8')));
  for (const parser of ['jsonc-parser', 'smol-toml']) {
    const found = importing(new RegExp(`['"]${parser}['"]`));
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(/^config-files\//);
  }
  const users = importing(/from '\.{1,2}\/(?:.*\/)?(?:config-files\/.*|config)\.js'/);
  expect(users.filter((file) => !/^(?:config-files\/|config\.ts$)/.test(file))).toEqual([]);
});
