import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { resolveCommand } from '../../src/process/command.js';

/** Root may search every folder: the look-up is made as somebody else. */
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
