import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { resolveCommand } from '../../../src/process/start/command.js';

/** Root may search every folder: the look-up is made as another user. */
function asNobody<T>(look: () => T): T {
  if (process.geteuid?.() !== 0) return look();
  process.seteuid?.(65_534);
  try {
    return look();
  } finally {
    process.seteuid?.(0);
  }
}

it('[SPAWN-2] a folder of PATH that may not be searched is passed over', () => {
  const closed = mkdtempSync(join(tmpdir(), 'mcp-pool-test-'));
  onTestFinished(() => rmSync(closed, { recursive: true }));
  chmodSync(closed, 0o000);
  const PATH = `${join(closed, 'bin')}:${dirname(process.execPath)}`;
  const request = { name: 'test', command: 'node', cwd: undefined, resolvedEnv: { PATH } };
  expect(asNobody(() => resolveCommand(request))).toBe(join(dirname(process.execPath), 'node'));
  const inClosed = { ...request, cwd: join(closed, 'work') };
  expect(() => asNobody(() => resolveCommand(inClosed))).toThrow(expect.objectContaining({ code: 'CWD_NOT_FOUND' }));
});

it('[PORT-7] a command of Windows is found by its extensions, a script of the same name is passed over', () => {
  const folder = mkdtempSync(join(tmpdir(), 'mcp-pool-test-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  // As npm puts them side by side.
  for (const file of ['npx', 'npx.CMD', 'tool.js']) writeFileSync(join(folder, file), '', { mode: 0o755 });
  const find = (command: string) =>
    resolveCommand({ name: 'test', command, cwd: undefined, resolvedEnv: { PATH: folder } }, ['.EXE', '.CMD']);
  expect(find('npx')).toBe(join(folder, 'npx.CMD'));
  expect(find(join(folder, 'npx'))).toBe(join(folder, 'npx.CMD'));
  expect(find('npx.CMD')).toBe(join(folder, 'npx.CMD'));
  expect(find(join(folder, 'tool.js'))).toBe(join(folder, 'tool.js'));
  expect(() => find('tool.js')).toThrow(expect.objectContaining({ code: 'COMMAND_NOT_FOUND' }));
  expect(() => find('nothing')).toThrow(/none of the 1 folders of its PATH/);
});
