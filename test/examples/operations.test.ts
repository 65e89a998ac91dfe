import { describe, expect, it } from 'vitest';
import { exampleProgram } from '../helpers/example.js';
import { startProgram } from '../helpers/host.js';

const run = (...args: string[]) =>
  startProgram(process.execPath, [exampleProgram('operations/index.js'), ...args]).result;
const SERVERS = ['search', 'files', 'notes'];
const count = (text: string, pattern: RegExp) => text.match(pattern)?.length ?? 0;

describe('the operations example', () => {
  it.each([
    ['restart', 'files'],
    ['restart-all', ...SERVERS],
    ['shutdown', ...SERVERS],
  ])('[DISPLAY-5] %s --dry-run: says what would end, and how', async (operation, ...names) => {
    const { code, stdout, stderr } = await run(operation, 'files', '--dry-run');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    for (const name of SERVERS)
      expect(count(stdout, new RegExp(`^would end ${name}, pid \\d+ .*SIGKILL`, 'gm'))).toBe(
        names.includes(name) ? 1 : 0,
      );
    expect(stdout.trimEnd().split('\n')).toHaveLength(names.length);
  });

  it('[DISPLAY-5] restart: one server has another process', async () => {
    const { code, stdout, stderr } = await run('restart', 'files');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^files: pid \d+ → \d+$/m);
    expect(count(stdout, / as before$/gm)).toBe(2);
  });

  it('[DISPLAY-5] restart-all: each has', async () => {
    const { code, stdout, stderr } = await run('restart-all');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(count(stdout, /: restarted in \d+ ms$/gm)).toBe(3);
    expect(count(stdout, /: pid \d+ → \d+$/gm)).toBe(3);
  });

  it('[DISPLAY-5] shutdown: all have ended', async () => {
    const { code, stdout, stderr } = await run('shutdown');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^3 trees in \d+ ms, 0 survivors$/m);
  });

  it('[DISPLAY-5] health: asks each server, and says whether all is well', async () => {
    const planned = await run('health', '--dry-run');
    expect(planned).toMatchObject({ code: 0, stderr: '' });
    expect(count(planned.stdout, /^would ask mcp-\S+, pid \d+$/gm)).toBe(3);
    const { code, stdout, stderr } = await run('health');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    for (const name of ['search', 'files', 'メモ帳']) expect(stdout).toMatch(new RegExp(`^${name} .* healthy$`, 'm'));
    expect(stdout).toMatch(/^all together: ok$/m);
  });

  it('[DISPLAY-5] drill: prints the table, or the plan', async () => {
    const planned = await run('drill', 'notes', 'exit', '--dry-run');
    expect(planned).toMatchObject({ code: 0, stderr: '', stdout: expect.stringContaining('verdict     planned') });
    const { code, stdout, stderr } = await run('drill', 'notes', 'exit');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^Drill: exit server 'メモ帳'/);
    expect(stdout).toContain('verdict     passed');
  });

  it.each([
    ['an operation', 2, 'usage: ', ['explode']],
    ['no operation', 2, 'usage: ', []],
    ['a server', 1, "server 'nowhere' is not defined", ['restart', 'nowhere']],
  ])('[DISPLAY-5] refuses %s that it does not know', async (_what, expected, words, args) => {
    const { code, stderr } = await run(...args);
    expect({ code, stderr }).toEqual({ code: expected, stderr: expect.stringContaining(words) });
  });
});
