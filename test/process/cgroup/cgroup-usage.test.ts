import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { CgroupUsage } from '../../../src/process/cgroup/cgroup-usage.js';
import { InstanceCgroup } from '../../../src/process/cgroup/instance-cgroup.js';
import { Swap } from '../../../src/process/usage/swap.js';
import { TreeMeter } from '../../../src/process/usage/tree-meter.js';
import { hasCgroups } from '../../helpers/cgroups.js';
import { FakeRoot } from '../../helpers/fake-root.js';
import { FakeTable } from '../../helpers/fake-table.js';
import { launch } from '../../helpers/launch.js';
import { MARKER, readProcess } from '../../helpers/processes.js';
import { until } from '../../helpers/until.js';

/** A folder of ordinary files: this machine may have no memory controller. */
function folderWith(files: Record<string, string>): string {
  const folder = mkdtempSync(join(tmpdir(), 'mcp-pool-cgroup-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return folder;
}

const openFiles = () => readdirSync('/proc/self/fd').length;

const MEMORY = {
  'memory.current': '100000000\n',
  'memory.stat':
    'anon 50000000\nfile 40000000\ninactive_file 30000000\nactive_file 9000000\nslab_reclaimable 1000000\n',
  'cpu.stat': 'usage_usec 2500000\nuser_usec 2000000\nsystem_usec 500000\n',
  'cgroup.events': 'populated 1\nfrozen 0\n',
};

function usageOf(folder: string, swap?: Swap): CgroupUsage {
  const usage = new CgroupUsage(folder, swap);
  onTestFinished(() => usage.close());
  return usage;
}

describe('CgroupUsage', () => {
  it('[USAGE-13] leaves out what the kernel can take back', () => {
    const usage = usageOf(folderWith(MEMORY));
    expect(usage.figures('whole')).toEqual({ memory: 60_000_000, cpuTime: 2_500 });
    expect(usage.figures('part')).toEqual({ memory: 60_000_000, cpuTime: 2_500, isPart: true });
    expect(usage.figures('none')).toEqual({ memory: undefined, cpuTime: 2_500 });
  });

  it('[USAGE-13] knows nothing of a cgroup that is gone, or has no such controller', () => {
    expect(usageOf('/nonexistent').figures('whole')).toEqual({ memory: undefined, cpuTime: undefined });
    const none = usageOf(folderWith({ 'cpu.stat': '' }));
    expect(none.figures('whole')).toEqual({ memory: undefined, cpuTime: undefined });
  });

  it('[USAGE-13] [USAGE-15] counts what was swapped out of it', () => {
    const root = new FakeRoot({ 'proc/meminfo': 'SwapTotal: 100 kB\nSwapFree: 99 kB\n' });
    const swapped = { ...MEMORY, 'memory.swap.current': '5000000\n' };
    expect(usageOf(folderWith(swapped), new Swap(root.path)).figures('whole').memory).toBe(65_000_000);
    // A kernel that does not count it.
    expect(usageOf(folderWith(MEMORY), new Swap(root.path)).figures('whole').memory).toBe(60_000_000);
  });

  it('[USAGE-13] keeps its files open, and reads what is in them now', () => {
    const folder = folderWith(MEMORY);
    const usage = usageOf(folder);
    const before = openFiles();
    usage.figures('whole');
    expect(openFiles() - before).toBe(3);
    writeFileSync(join(folder, 'memory.current'), '200000000\n');
    expect(usage.figures('whole').memory).toBe(160_000_000);
    expect(openFiles() - before).toBe(3);
    usage.close();
    expect(openFiles() - before).toBe(0);
  });
});

describe('InstanceCgroup', () => {
  it('[USAGE-13] tells memory only when it was counted from the begin, and the server is in it', () => {
    const folder = folderWith(MEMORY);
    const cgroup = new InstanceCgroup(folder, () => {});
    onTestFinished(() => void cgroup.remove());
    expect(cgroup.figures().memory).toBeUndefined();
    cgroup.noteControllers();
    expect(cgroup.figures().memory).toBe(60_000_000);
    writeFileSync(join(folder, 'cgroup.events'), 'populated 0\nfrozen 0\n');
    expect(cgroup.figures()).toEqual({ memory: undefined, cpuTime: 2_500 });
    mkdirSync(join(folder, 'below'));
    expect(cgroup.pids()).toEqual(new Set());
  });

  it('[USAGE-13] tells of a server that was moved in only a part: the rest counts where it was before', async () => {
    const folder = join(folderWith({}), '1');
    mkdirSync(folder);
    for (const [name, text] of Object.entries({ ...MEMORY, 'cgroup.procs': '' }))
      writeFileSync(join(folder, name), text);
    const cgroup = new InstanceCgroup(folder, () => {});
    onTestFinished(() => void cgroup.remove());
    cgroup.noteControllers();
    const table = new FakeTable();
    const leader = table.add({ pid: 4_194_305 });
    const moving = cgroup.adopt({ leader, table, hasExited: () => false, isMarked: () => true });
    expect(cgroup.figures()).toEqual({ memory: undefined, cpuTime: undefined });
    expect(await moving).toBe(true);
    expect(cgroup.figures()).toEqual({ memory: 60_000_000, cpuTime: 2_500, isPart: true });
  });
});

describe('the meter of a tree in a cgroup', () => {
  const process = {
    pid: 5,
    startTime: 1,
    parent: 1,
    age: 0,
    isZombie: false,
    threads: 1,
    resident: 8e6,
    unique: 4e6,
    sharedMemory: 0,
  };

  it('[USAGE-13] takes the memory of the cgroup, and the larger CPU time, and never a smaller one than before', async () => {
    const reader = { read: () => [{ ...process, cpu: 700, childCpu: 0 }], close: () => {} };
    let figures: { memory: number | undefined; cpuTime: number | undefined } = { memory: 60e6, cpuTime: 2_500 };
    const source = { reader: () => reader, age: () => 0 };
    const meter = new TreeMeter({ source, age: 1_000, cgroup: () => figures, now: () => 50 });
    const MB = 1_048_576;
    expect(await meter.measure(() => [])).toMatchObject({
      memoryMB: 60e6 / MB,
      residentMB: 8e6 / MB,
      cpuTime: 2_500,
      uptime: 1_000,
    });
    figures = { memory: undefined, cpuTime: undefined };
    expect(await meter.measure(() => [])).toMatchObject({ memoryMB: 4e6 / MB, cpuTime: 2_500 });
  });
});

describe('usage() of a server in a cgroup', () => {
  it.runIf(hasCgroups)(
    '[USAGE-13] has what an orphan has used that no sample has seen: the kernel keeps it in a cgroup',
    async () => {
      const burn = 'while (process.cpuUsage().user < 300_000); console.error(process.pid);';
      // It begins when it is told to, so that it is in the cgroup with all that it uses.
      const script = `read go; ("$0" -e '${burn}' &); exec sleep 1000`;
      const args = ['-c', script, process.execPath];
      const server = launch({ command: 'sh', args, inheritEnv: [MARKER], containment: 'cgroup' });
      const ours = cgroupOf(process.pid);
      await until('it is in its cgroup', () => cgroupOf(server.pid) !== ours);
      server.process.stdin.write('go\n');
      const orphan = Number(await until('the orphan is done', () => server.process.stderrTail.trim()));
      await until('it is gone', () => readProcess(orphan) === undefined);
      const usage = await server.process.usage?.();
      expect(usage?.processes).toBe(1);
      expect(usage?.cpuTime).toBeGreaterThanOrEqual(300);
    },
  );
});

/** The line of cgroup2. Read without the code under test. */
function cgroupOf(pid: number): string | undefined {
  return /^0::.*$/m.exec(readFileSync(`/proc/${pid}/cgroup`, 'utf8'))?.[0];
}
