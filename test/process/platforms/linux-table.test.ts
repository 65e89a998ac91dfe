import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { linuxProcessTable, parseStat } from '../../../src/process/platforms/linux-table.js';
import { isAlive, type ProcessRow } from '../../../src/process/process-table.js';
import { runHost } from '../../helpers/host.js';
import { isLiving, livingProcesses, readProcess } from '../../helpers/processes.js';
import { until } from '../../helpers/until.js';

/** A child that lives until the test is over. */
function start(script: string): { pid: number; kill(): void } {
  const child = spawn('/bin/sh', ['-c', script], { stdio: 'ignore', detached: true });
  const pid = child.pid as number;
  const kill = () => {
    try {
      process.kill(-pid, 'SIGKILL');
    } catch {
      // Dead already.
    }
  };
  onTestFinished(kill);
  return { pid, kill };
}

describe('linuxProcessTable', () => {
  it('reads one process as the kernel shows it', () => {
    const { zombie, ...expected } = readProcess(process.pid) as NonNullable<ReturnType<typeof readProcess>>;
    expect(linuxProcessTable.read(process.pid)).toMatchObject({ ...expected, dead: zombie });
  });

  it('knows nothing of a pid that no process has', () => {
    expect(linuxProcessTable.read(4_194_304)).toBeUndefined();
    expect(linuxProcessTable.read(-1)).toBeUndefined();
  });

  it('knows the newest pid', () => {
    const before = linuxProcessTable.newest?.() ?? 0;
    const { pid } = start('exec sleep 100');
    const after = linuxProcessTable.newest?.() ?? 0;
    expect(before).toBeGreaterThan(0);
    // Unless the numbers began anew in between.
    if (after > before) expect(pid > before && pid <= after).toBe(true);
  });

  it('scans everything in one pass', () => {
    const { pid } = start('exec sleep 100');
    const rows = linuxProcessTable.scan();
    expect(rows.get(pid)).toMatchObject({ pid, parent: process.pid, group: pid, session: pid, dead: false });
    const { cpu, childCpu, threads, ...same } = linuxProcessTable.read(process.pid) as ProcessRow;
    expect(rows.get(process.pid)).toMatchObject(same);
    const seen = livingProcesses().filter(({ pid: other }) => rows.has(other));
    expect(seen.length).toBeGreaterThan(1);
    for (const [key, row] of rows) expect(row.pid).toBe(key);
  });

  it('[PROOF-2] says of a zombie that it is dead, though it still can be signalled', async () => {
    // The shell becomes `sleep`, which collects nothing.
    const { pid: parent } = start('true & exec sleep 100');
    const zombie = await until('there is a zombie', () =>
      [...linuxProcessTable.scan().values()].find((row) => row.parent === parent && row.dead),
    );
    expect(() => process.kill(zombie.pid, 0)).not.toThrow();
    expect(linuxProcessTable.read(zombie.pid)).toMatchObject({ dead: true });
    expect(isAlive(linuxProcessTable, zombie.pid, zombie.startTime)).toBe(false);
    expect(isLiving(zombie.pid)).toBe(false);
  });

  it('[PROOF-2] takes a process of another start time for another process', () => {
    const startTime = readProcess(process.pid)?.startTime ?? 0;
    expect(isAlive(linuxProcessTable, process.pid, startTime)).toBe(true);
    expect(isAlive(linuxProcessTable, process.pid, startTime - 1)).toBe(false);
    expect(isAlive(linuxProcessTable, 4_194_304, startTime)).toBe(false);
  });

  it('[PROOF-3] does not say of a process that it is gone because no descriptor is left to look', async () => {
    const { stdout, stderr } = await runHost(
      `
      import { openSync, closeSync } from 'node:fs';
      const { linuxProcessTable } = await import(SRC + '/process/platforms/linux-table.js');
      const { startTime } = linuxProcessTable.read(process.pid);
      const taken = [];
      try { for (;;) taken.push(openSync('/dev/null', 'r')); } catch {}
      const look = (what) => { try { return what() } catch { return 'refused' } };
      const found = [
        look(() => linuxProcessTable.read(process.pid) === undefined ? 'gone' : 'there'),
        look(() => linuxProcessTable.scan().has(process.pid) ? 'there' : 'gone'),
      ];
      for (const descriptor of taken) closeSync(descriptor);
      console.log(JSON.stringify(found), linuxProcessTable.read(process.pid).startTime === startTime);
      `,
      { before: 'ulimit -n 60' },
    );
    expect(stderr).toBe('');
    expect(stdout).toMatch(/true\n$/);
    expect(stdout).not.toContain('gone');
  });
});

describe('the numbers of processes', () => {
  it('[LOOK-3] are as many as the kernel says, and each start is counted', async () => {
    const shown = readFileSync('/proc/sys/kernel/pid_max', 'utf8');
    expect(linuxProcessTable.numbers?.()).toBe(Number(shown));
    const before = linuxProcessTable.starts?.() ?? Number.NaN;
    const child = spawn('true', { stdio: 'ignore' });
    await once(child, 'exit');
    expect(linuxProcessTable.starts?.()).toBeGreaterThan(before);
  });
});

describe('a host without free descriptors', () => {
  it('[REUSE-10] gets back those that keep processes open, whatever it needs them for', async () => {
    const { stdout, stderr } = await runHost(
      `
      import { spawn } from 'node:child_process';
      import { openSync, closeSync } from 'node:fs';
      const { linuxProcessTable: table } = await import(SRC + '/process/platforms/linux-table.js');
      const { readMarks, readOwner } = await import(SRC + '/process/marks/mark-reader.js');
      const { spawnWithDescriptors } = await import(SRC + '/process/descriptors.js');
      const { readCgroupFile, cgroupsIn, writeCgroupFile } = await import(SRC + '/process/cgroup/cgroup-files.js');
      const children = Array.from({ length: 16 }, () => spawn('sleep', ['100'], { stdio: 'ignore' }));
      const found = {};
      /** While the host has no descriptors but those that keep processes open. */
      const scarce = (name, look) => {
        const held = children.map(({ pid }) => table.hold(pid));
        const taken = [];
        try { for (;;) taken.push(openSync('/dev/null', 'r')); } catch {}
        try { found[name] = look() } catch (error) { found[name] = error.code }
        for (const descriptor of taken) closeSync(descriptor);
        for (const row of held) table.release(row);
      };
      // There are fewer for some time after that: this clock goes on.
      const now = performance.now.bind(performance);
      let later = 0;
      performance.now = () => now() + (later += 100_000);
      scarce('pids', () => table.pids().includes(process.pid));
      scarce('scan', () => table.scan().has(process.pid));
      scarce('newest', () => table.newest() > 0);
      scarce('marks', () => readMarks(process.pid) !== undefined);
      scarce('owner', () => readOwner('self').user === process.getuid());
      scarce('cgroup file', () => readCgroupFile('/proc/self', 'cgroup').includes(':'));
      scarce('cgroups', () => cgroupsIn('/proc/self').length > 0);
      scarce('write', () => writeCgroupFile('/dev', 'null', '1') === undefined);
      let child;
      scarce('spawn', () => {
        child = spawnWithDescriptors(() => spawn('sleep', ['100']));
        return child.pid !== undefined && child.stdout !== null;
      });
      console.log(JSON.stringify(found));
      // To kill a child that was not started would be to kill the group of this process.
      for (const { pid } of [...children, child]) if (pid !== undefined) process.kill(pid, 'SIGKILL');
      `,
      { before: 'ulimit -n 80' },
    );
    expect(stderr).toBe('');
    const found = JSON.parse(stdout) as Record<string, unknown>;
    expect(Object.keys(found)).toHaveLength(9);
    for (const [what, result] of Object.entries(found)) expect([what, result]).toEqual([what, true]);
  });
});

describe('parseStat', () => {
  const line = (pid: number, name: string, state: string, startTime: number) =>
    `${pid} (${name}) ${state} 11 22 33 34816 22 4194304 1 2 3 4 5 6 7 8 20 0 1 0 ${startTime} 123 456 18446744073709551615`;

  it('[PROOF-2] takes no process for dead when its main thread ended before its others', () => {
    const leader = line(12, 'python3', 'Z', 7);
    expect(parseStat(leader)?.dead).toBe(true);
    expect(parseStat(leader.replace(' 20 0 1 0 ', ' 20 0 2 0 '))?.dead).toBe(false);
  });

  it('reads any name, with blanks, parentheses and line breaks', () => {
    const name = fc.string({ unit: fc.constantFrom(...'ab ()\n)(1S'), maxLength: 15 });
    const states = fc.constantFrom(...'RSDTtIZXx');
    fc.assert(
      fc.property(fc.nat(4_194_304), name, states, fc.nat(), (pid, command, state, startTime) => {
        expect(parseStat(line(pid, command, state, startTime))).toEqual({
          pid,
          parent: 11,
          group: 22,
          session: 33,
          startTime,
          dead: 'ZXx'.includes(state),
          command,
          state,
          cpu: 11,
          childCpu: 15,
          threads: 1,
        });
      }),
    );
  });

  it('gives nothing for what is no line of it', () => {
    expect(parseStat('')).toBeUndefined();
    expect(parseStat('12 sleep S 1')).toBeUndefined();
  });
});
