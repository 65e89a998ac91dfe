import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { expect, it } from 'vitest';
import { PackageFolder } from '../../src/packages/package-folder.js';
import type { PackageRecord } from '../../src/packages/package-record.js';
import { newFolder } from '../helpers/folders.js';

it('[PACKAGES-3] an installation is removed when another one counts, no host uses it, and no host begins to', async () => {
  const folder = new PackageFolder(newFolder(), 'key');
  const install = () => {
    const { folder: path, release } = folder.create();
    const program = join(path, 'program');
    writeFileSync(program, '');
    const found = { name: 'a', version: '1.0.0', folders: [], variables: {}, checkedAt: 0 };
    const record: PackageRecord = { program, kind: 'node', ...found, installed: basename(path) };
    return { path, release, record };
  };
  const [old, now] = [install(), install()];
  folder.write(old.record);
  const release = folder.use(old.record) as () => void;
  expect(folder.read()).toEqual(old.record);
  folder.write(now.record, old.record);
  for (const { release: done } of [old, now]) done();
  await folder.prune(now.record);
  expect(existsSync(old.path)).toBe(true);
  // A reader of the old record has had its time.
  utimesSync(join(old.path, 'past'), 0, 0);
  await folder.prune(now.record);
  expect(existsSync(old.path)).toBe(true);
  release();
  await folder.prune(now.record);
  expect(readdirSync(folder.path).filter((name) => name.startsWith('v-'))).toEqual([now.record.installed]);
  expect(folder.use(old.record)).toBe(false);
  expect(folder.read()).toEqual(now.record);
});

it('[PACKAGES-3] what a host has left that died before it had installed is removed', async () => {
  const folder = new PackageFolder(newFolder(), 'key');
  const { folder: path, release } = folder.create();
  const users = join(path, 'used-by');
  const [own = ''] = readdirSync(users);
  release();
  // Of this machine, but no process has that start time.
  writeFileSync(join(users, own.replace(/-(\d+)-(\d+)-/, '-$1-1-')), '');
  const shells = [folder.createShell(), folder.createShell()];
  utimesSync(shells[0]!, 0, 0);
  const none = { program: '/none', kind: 'node', name: 'a', version: '1', folders: [], variables: {} } as const;
  await folder.prune({ ...none, installed: undefined, checkedAt: 0 });
  expect(existsSync(path)).toBe(false);
  expect(shells.map(existsSync)).toEqual([false, true]);
});

it('[PACKAGES-6] a folder that others can reach is not used', () => {
  const cache = newFolder();
  mkdirSync(join(cache, '_mcp-server-pool'));
  chmodSync(join(cache, '_mcp-server-pool'), 0o777);
  expect(() => new PackageFolder(cache, 'key').create()).toThrow('open to others');
});

it('[PACKAGES-6] a record that others could have written is not believed', () => {
  const cache = newFolder();
  const folder = new PackageFolder(cache, 'key');
  const { folder: path, release } = folder.create();
  const program = join(path, 'program');
  writeFileSync(program, '');
  const found = { name: 'a', version: '1.0.0', folders: [], variables: {}, checkedAt: 0 };
  const record: PackageRecord = { program, kind: 'node', ...found, installed: basename(path) };
  folder.write(record);
  release();
  const places = [cache, join(cache, '_mcp-server-pool'), folder.path, join(folder.path, 'record.json')];
  for (const place of places) {
    const { mode } = statSync(place);
    chmodSync(place, mode | 0o022);
    expect(folder.read(), place).toBeUndefined();
    chmodSync(place, mode);
    if (process.getuid?.() === 0) {
      chownSync(place, 4_242, 4_242);
      expect(folder.read(), place).toBeUndefined();
      chownSync(place, 0, 0);
    }
    expect(folder.read()).toEqual(record);
  }
});
