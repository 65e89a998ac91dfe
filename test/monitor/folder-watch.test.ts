import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import type { Told } from '../../src/monitor/finding.js';
import { FolderWatch } from '../../src/monitor/folder-watch.js';
import { ManualClock } from '../helpers/clock.js';

const MB = 1_048_576;

function folderWith(...sizes: number[]): string {
  const base = mkdtempSync(join(tmpdir(), 'pool-folder-'));
  onTestFinished(() => rmSync(base, { recursive: true, force: true }));
  const path = join(base, 'logs');
  mkdirSync(path, { mode: 0o700 });
  for (const [index, size] of sizes.entries()) {
    const file = join(path, `${index}.log`);
    writeFileSync(file, Buffer.alloc(size * MB, 1));
    utimesSync(file, 1_000 + index, 1_000 + index);
  }
  return path;
}

it('[FOLDER-8] tells once that a folder is over its budget, and that it is no longer', async () => {
  const path = folderWith(2, 2);
  const clock = new ManualClock();
  const told: Told[] = [];
  const called: unknown[] = [];
  const onExceeded = (folder: object) => called.push(folder);
  const watch = new FolderWatch([{ path, limitMB: 3, onExceeded }], false, clock, (one) => told.push(one));
  await watch.look();
  clock.advance(10_000);
  await watch.look();
  expect(called).toHaveLength(1);
  clock.advance(60_000);
  await watch.look();
  expect(called).toHaveLength(2);
  expect(told).toEqual([['limit:exceeded', { kind: 'folder', path, value: expect.closeTo(4, 1), limit: 3 }]]);
  rmSync(join(path, '0.log'));
  clock.advance(60_000);
  await watch.look();
  expect(told[1]).toEqual(['limit:recovered', { kind: 'folder', path, value: expect.closeTo(2, 1), limit: 3 }]);
});

it('[FOLDER-8] a folder whose budget cannot be kept is told once, and the others are looked at', async () => {
  const path = folderWith(2, 2);
  const clock = new ManualClock();
  const told: Told[] = [];
  const file = join(path, '0.log');
  const folders = [file, path].map((one) => ({ path: one, limitMB: 3, onExceeded: 'report' as const }));
  const watch = new FolderWatch(folders, false, clock, (one) => told.push(one));
  for (let look = 0; look < 3; look++) {
    await watch.look();
    clock.advance(60_000);
  }
  expect(told.map(([event]) => event)).toEqual(['monitor:degraded', 'limit:exceeded']);
  expect(told[0]?.[1]).toMatchObject({ part: 'folder', reason: expect.stringContaining(file) });
});
