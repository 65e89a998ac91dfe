import { expect, it } from 'vitest';
import { currentPlatform } from '../../../src/process/platforms/current-platform.js';
import { linux } from '../../../src/process/platforms/linux.js';

it('[PORT-2] is that of /proc on Linux, of ps on macOS, made once', () => {
  expect(currentPlatform('linux')).toBe(linux);
  const darwin = currentPlatform('darwin');
  expect(darwin).toMatchObject({ detached: true, hasSigterm: true });
  expect(darwin.table).not.toBe(linux.table);
  expect(darwin.table.read(process.pid)).toMatchObject({ pid: process.pid, parent: process.ppid });
  expect(currentPlatform('darwin')).toBe(darwin);
});

it('[PORT-2] is NOT_SUPPORTED with what is missing', () => {
  expect(() => currentPlatform('win32')).toThrow(
    expect.objectContaining({ code: 'NOT_SUPPORTED', message: expect.stringContaining('powershell.exe') }),
  );
  expect(() => currentPlatform('aix')).toThrow(/on Linux, macOS and Windows, not on 'aix'/);
});
