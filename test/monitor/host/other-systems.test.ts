import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { newFile, newFolder } from '../../helpers/folders.js';
import { runHost } from '../../helpers/host.js';

/** Runs a script as a host that takes this machine for one with macOS. */
async function onMac(script: string): Promise<unknown> {
  const { stdout, stderr } = await runHost(`
    Object.defineProperty(process, 'platform', { value: 'darwin' });
    const timer = setInterval(() => {}, 1_000);
    ${script}
    clearInterval(timer);
  `);
  expect(stderr).toBe('');
  return JSON.parse(stdout);
}

it('[FOLDER-1] [FOLDER-7] without /proc a folder is measured, and nothing is removed from it', async () => {
  const path = newFolder();
  for (const name of ['a', 'sub/ü', 'sub/deeper/c']) newFile(path, name, 99);
  symlinkSync(newFolder(), join(path, 'link'));
  const report = await onMac(`
    const { FolderBudget } = await import(SRC + '/monitor/host/folder-budget.js');
    const date = () => Date.now() + 3_600_000;
    const look = (name, onExceeded) => new FolderBudget({ path: ${JSON.stringify(path)} + name, limitMB: 0.1, onExceeded }, { date }).look();
    console.log(JSON.stringify([await look('', 'report'), await look('', 'prune-oldest'), await look('/link', 'report')]));
  `);
  expect(report).toMatchObject([
    { files: 3, sizeMB: 0.3, exceeded: true },
    { files: 3, removed: 0, problem: expect.stringMatching(/^nothing is removed: this system has no \/proc/) },
    { files: 0, problem: 'it is no folder, or a symbolic link' },
  ]);
});

it('[SOCKET-4] without /proc removeStaleSockets() is NOT_SUPPORTED', async () => {
  const code = await onMac(`
    const { removeStaleSockets } = await import(SRC + '/monitor/host/stale-sockets.js');
    console.log(JSON.stringify(await removeStaleSockets('/tmp').catch(({ code }) => code)));
  `);
  expect(code).toBe('NOT_SUPPORTED');
});
