import { spawn, spawnSync } from 'node:child_process';
import { closeSync, constants, openSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { endWatched, findStrays, watchProcesses } from '../../../src/index.js';
import { linuxProcessTable } from '../../../src/process/platforms/linux-table.js';
import { newTag } from '../../helpers/escapes.js';
import { newFolder } from '../../helpers/folders.js';
import { isLiving } from '../../helpers/processes.js';
import { until } from '../../helpers/until.js';

const { status } = spawnSync('python3', ['-c', 'import os; os.posix_spawn'], { stdio: 'ignore' });

/** By vfork: from the first line of its stdin until its child has opened the file, the parent is uninterruptible. */
const SCRIPT = `
import os, sys, time
sys.stdin.readline()
opens = [(os.POSIX_SPAWN_OPEN, 0, sys.argv[1], os.O_RDONLY, 0)]
os.waitpid(os.posix_spawn('/bin/true', ['true'], os.environ, file_actions=opens), 0)
time.sleep(50)`;

async function start() {
  const fifo = join(newFolder(), 'fifo');
  spawnSync('mkfifo', [fifo]);
  const tag = newTag();
  const child = spawn('python3', ['-c', SCRIPT, fifo, tag], { stdio: ['pipe', 'ignore', 'ignore'] });
  const exited = new Promise((resolve) => child.once('exit', resolve));
  let writer: number | undefined;
  /** Its child has what it waits for, and so has it. */
  const goOn = () => {
    writer ??= openSync(fifo, constants.O_RDWR);
  };
  onTestFinished(async () => {
    child.kill('SIGKILL');
    goOn();
    await exited;
    closeSync(writer ?? 0);
  });
  const pid = child.pid ?? 0;
  const hang = () => {
    child.stdin?.write('go\n');
    return until('it hangs', () => {
      const row = linuxProcessTable.read(pid);
      return row?.state === 'D' && row.command.startsWith('python') && row;
    });
  };
  return { tag, pid, hang, goOn };
}

function watch(patterns: string[]) {
  const watched = watchProcesses({ patterns, maxAge: 1, stuckAfter: 500 });
  onTestFinished(() => watched.stop());
  return async (pid: number) => (await watched.list()).find((one) => one.pid === pid);
}

describe.skipIf(status !== 0)('a real process in an uninterruptible call', () => {
  it('[HANG-1] is listed as stuck, gets no signal before it was checked, and is ended when it moves', async () => {
    const { tag, pid, hang, goOn } = await start();
    const { command } = await hang();
    const find = watch([tag, command]);
    const stuck = await until('it is listed', () => find(pid));
    expect(stuck).toMatchObject({ state: 'D', pattern: command, reasons: ['stuck'], checked: false });
    expect(await findStrays({ patterns: [tag], olderThan: 0 })).toEqual([]);
    const ends = await endWatched([stuck], { termGrace: 50 });
    expect(ends[0]).toMatchObject({ pid, outcome: 'survived', signal: undefined });
    expect(new Set(ends.map(({ signal }) => signal))).toEqual(new Set([undefined]));
    expect(isLiving(pid)).toBe(true);
    goOn();
    await until('it moves', () => linuxProcessTable.read(pid)?.state === 'S');
    expect(await endWatched([stuck])).toMatchObject([{ pid, outcome: 'ended', signal: 'SIGTERM' }]);
  });

  it('[HANG-1] is matched by what was read before, and ended, with what is below it', async () => {
    const { tag, pid, hang } = await start();
    const find = watch([tag]);
    await until('it is listed', () => find(pid));
    await hang();
    const stuck = await until('it is listed as stuck', async () => {
      const entry = await find(pid);
      return entry?.reasons.includes('stuck') && entry;
    });
    expect(stuck).toMatchObject({ state: 'D', pattern: tag, reasons: ['age', 'stuck'], checked: true });
    const ends = await endWatched([stuck], { termGrace: 200 });
    expect(ends.map(({ outcome, listed }) => [outcome, listed])).toEqual([
      ['ended', true],
      ['ended', false],
    ]);
  });
});
