import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { enableController, limitFiles } from '../../../src/process/cgroup/cgroup-limits.js';
import { linux } from '../../../src/process/platforms/linux.js';
import { describeExit } from '../../../src/server/exit-error.js';
import { CGROUP_ROOT, cgroup, fakeCgroups, hasCgroups, isRoot } from '../../helpers/cgroups.js';
import { define } from '../../helpers/definition.js';
import { launch } from '../../helpers/launch.js';

const NONE = { memoryMB: undefined, swapMB: undefined, processes: undefined, cpuPercent: undefined };
const ALL = { memoryMB: 1.5, swapMB: 0, processes: 20, cpuPercent: 150 };
const read = (...path: string[]) => readFileSync(join(...path), 'utf8').trim();
/** The one controller of this machine's cgroup2; no option uses it, but all are enabled alike. */
const SPARE = 'hugetlb';
const hasSpare = CGROUP_ROOT !== undefined && read(CGROUP_ROOT, 'cgroup.controllers').split(' ').includes(SPARE);

describe('limits of a cgroup', () => {
  it('[CGROUP-4] are one file each', () => {
    expect(limitFiles(NONE)).toEqual([]);
    expect(limitFiles(ALL).map(({ file, value }) => [file, value])).toEqual([
      ['memory.max', '1572864'],
      ['memory.swap.max', '0'],
      ['pids.max', '20'],
      ['cpu.max', '150000 100000'],
    ]);
  });

  it('[CGROUP-4] are written where the controllers are there (in a folder of ordinary files)', () => {
    const { host } = fakeCgroups();
    writeFileSync(join(host.folder, 'cgroup.subtree_control'), 'cpu memory pids\n');
    const { cgroup, missing } = host.make(7, ALL);
    expect(missing).toEqual([]);
    expect(['memory.max', 'memory.swap.max', 'pids.max', 'cpu.max'].map((file) => read(cgroup.folder, file))).toEqual([
      '1572864',
      '0',
      '20',
      '150000 100000',
    ]);
  });

  it('[CGROUP-4] that lack their controller are reported, the others are written (in a folder of ordinary files)', () => {
    const { parent, host } = fakeCgroups();
    writeFileSync(join(host.folder, 'cgroup.subtree_control'), 'pids\n');
    writeFileSync(join(parent, 'cgroup.controllers'), 'pids\n');
    const { cgroup, missing } = host.make(7, ALL);
    expect(missing.map(({ option }) => option)).toEqual(['memoryMB', 'swapMB', 'cpuPercent']);
    expect(missing[0]?.why).toBe(`the controller 'memory' is not delegated to ${parent}`);
    expect(read(cgroup.folder, 'pids.max')).toBe('20');
    expect(existsSync(join(cgroup.folder, 'memory.max'))).toBe(false);
  });

  it.runIf(hasCgroups && hasSpare && isRoot)(
    '[CGROUP-4] are enabled from the root down, where no process lives',
    () => {
      const parent = cgroup();
      const folder = join(parent, 'host');
      mkdirSync(folder);
      const before = read(CGROUP_ROOT!, 'cgroup.subtree_control');
      try {
        expect(enableController(parent, folder, SPARE)).toBe(`the controller '${SPARE}' is not delegated to ${parent}`);
        // The root may have processes and controllers at once.
        expect(enableController(CGROUP_ROOT!, parent, SPARE)).toBeUndefined();
        expect(enableController(parent, folder, SPARE)).toBeUndefined();
        expect(read(folder, 'cgroup.subtree_control')).toBe(SPARE);
        expect(enableController(parent, folder, SPARE)).toBeUndefined();
      } finally {
        for (const each of [folder, parent]) writeFileSync(join(each, 'cgroup.subtree_control'), `-${SPARE}`);
        if (!before.includes(SPARE)) writeFileSync(join(CGROUP_ROOT!, 'cgroup.subtree_control'), `-${SPARE}`);
      }
    },
  );

  it.runIf(hasCgroups && hasSpare && isRoot)('[CGROUP-4] cannot be had below a cgroup with processes', async () => {
    const parent = cgroup();
    const before = read(CGROUP_ROOT!, 'cgroup.subtree_control');
    writeFileSync(join(CGROUP_ROOT!, 'cgroup.subtree_control'), `+${SPARE}`);
    try {
      const server = launch({ command: 'sleep', args: ['50'], containment: 'markers' });
      writeFileSync(join(parent, 'cgroup.procs'), String(server.pid));
      const folder = join(parent, 'host');
      mkdirSync(folder);
      expect(enableController(parent, folder, SPARE)).toMatch(/holds processes; .*DelegateSubgroup.* cgroupParent/);
      await server.process.end({ mode: 'emergency' });
    } finally {
      if (!before.includes(SPARE)) writeFileSync(join(CGROUP_ROOT!, 'cgroup.subtree_control'), `-${SPARE}`);
    }
  });

  it('[CGROUP-5] are reported by the kernel when they were reached (in a folder of ordinary files)', async () => {
    const { host } = fakeCgroups();
    const { cgroup } = host.make(9);
    expect(cgroup.verdict()).toEqual({});
    writeFileSync(join(cgroup.folder, 'memory.events'), 'low 0\nhigh 0\nmax 12\noom 1\noom_kill 0\noom_group_kill 0\n');
    writeFileSync(join(cgroup.folder, 'pids.events'), 'max 0\n');
    expect(cgroup.verdict()).toEqual({});
    writeFileSync(join(cgroup.folder, 'memory.events'), 'low 0\nhigh 0\nmax 12\noom 1\noom_kill 2\noom_group_kill 0\n');
    writeFileSync(join(cgroup.folder, 'pids.events'), 'max 3\n');
    expect(cgroup.verdict()).toEqual({ outOfMemory: true, processLimitHit: true });
  });

  it('[CGROUP-5] make the exit of a server one for lack of memory (in a folder of ordinary files)', async () => {
    const { host } = fakeCgroups();
    const platform = { ...linux, cgroups: () => host };
    const server = launch(
      { command: 'sh', args: ['-c', 'cd "$0"/[0-9]* && echo "oom_kill 1" >memory.events; kill -9 $$', host.folder] },
      { platform },
    );
    expect(await server.exited).toEqual({ exitCode: null, signal: 'SIGKILL', outOfMemory: true });
  });

  it('[CGROUP-5] are named with the option to raise', () => {
    const { cgroupLimits } = define({ command: 'x', cgroupLimits: { memoryMB: 64, processes: 9 } });
    const exit = { exitCode: null, signal: 'SIGKILL' };
    const limited = { cgroupLimits };
    const unlimited = { cgroupLimits: NONE };
    expect(describeExit(exit, limited)).toEqual({ how: 'was ended by SIGKILL', why: '' });
    expect(describeExit({ ...exit, outOfMemory: true }, limited).why).toMatch(
      /memory\.max.* cgroupLimits\.memoryMB \(64\)/,
    );
    expect(describeExit({ ...exit, outOfMemory: true }, unlimited).why).toMatch(/memory of the machine/);
    expect(describeExit({ ...exit, processLimitHit: true }, limited).why).toMatch(
      /pids\.max.* cgroupLimits\.processes \(9\)/,
    );
    expect(describeExit({ exitCode: 3, signal: null, processLimitHit: true }, unlimited).why).not.toContain('raise');
  });
});
