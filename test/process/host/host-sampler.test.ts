import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { HostSample } from '../../../src/process/host/host-sample.js';
import { HostSampler, type HostSystem } from '../../../src/process/host/host-sampler.js';
import { ManualClock } from '../../helpers/clock.js';
import { type FakeFiles, FakeRoot } from '../../helpers/fake-root.js';
import { runHost } from '../../helpers/host.js';
import { propertyRuns } from '../../helpers/properties.js';
import { flush, until } from '../../helpers/until.js';

const GB = 1_073_741_824;
const MB = 1_048_576;

/** What Node says. Another figure than any file says. */
const SYSTEM: HostSystem = {
  memory: () => ({ total: 7 * GB, available: 5 * GB, limit: 0 }),
  parallelism: () => 3,
  load: () => [9, 9, 9],
};

const MACHINE: FakeFiles = {
  'proc/meminfo': 'MemTotal:       16777216 kB\nMemFree:         1048576 kB\nMemAvailable:    8388608 kB\n',
  'proc/loadavg': '0.50 1.25 2.00 3/400 12345\n',
  'proc/sys/kernel/pid_max': '4194304\n',
  'proc/sys/kernel/threads-max': '127000\n',
  'proc/self/status': 'Name:\tnode\nUid:\t0\t0\t0\t0\nCapEff:\t000001ffffffffff\nCpus_allowed_list:\t0-7\n',
  'proc/self/uid_map': '         0          0 4294967295\n',
  'proc/self/limits':
    'Limit                     Soft Limit           Hard Limit           Units     \nMax processes             500                  500                  processes \nMax open files            1024                 4096                 files     \n',
  'sys/devices/system/cpu/online': '0-7\n',
};

const MOUNT_2 = '35 24 0:30 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n';
const MOUNTS_1 = ['memory', 'cpu,cpuacct', 'pids']
  .map((name, index) => `3${index} 31 0:3${index} / /sys/fs/cgroup/${name} rw - cgroup cgroup rw,${name}\n`)
  .join('');

/** The machine and a cgroup of version 2 three levels deep. */
function version2(files: FakeFiles = {}): FakeRoot {
  return new FakeRoot({
    ...MACHINE,
    'proc/self/mountinfo': MOUNT_2,
    'proc/self/cgroup': '0::/pod/box/app\n',
    'sys/fs/cgroup/pod/box/app/cgroup.procs': '',
    ...files,
  });
}

function version1(files: FakeFiles = {}): FakeRoot {
  const path = '/docker/abc';
  return new FakeRoot({
    ...MACHINE,
    'proc/self/mountinfo': MOUNTS_1,
    'proc/self/cgroup': `4:memory:${path}\n3:cpu,cpuacct:${path}\n2:pids:${path}\n1:name=systemd:/\n`,
    'sys/fs/cgroup/memory/docker/abc/cgroup.procs': '',
    'sys/fs/cgroup/cpu,cpuacct/docker/abc/cgroup.procs': '',
    'sys/fs/cgroup/pids/docker/abc/cgroup.procs': '',
    ...files,
  });
}

function samplerOf(root: FakeRoot): HostSampler {
  return new HostSampler({ root: root.path, clock: new ManualClock(), system: SYSTEM });
}

function sampleOf(root: FakeRoot): HostSample {
  return samplerOf(root).sample();
}

const APP = 'sys/fs/cgroup/pod/box/app';
const BOX = 'sys/fs/cgroup/pod/box';
const POD = 'sys/fs/cgroup/pod';

describe('memory', () => {
  it('[MACHINE-1] is that of the machine where no cgroup limits it', () => {
    const machine = { totalMB: 16_384, availableMB: 8_192, usedPercent: 50, from: 'machine' };
    expect(sampleOf(new FakeRoot(MACHINE)).memory).toEqual(machine);
    expect(sampleOf(version2({ [`${APP}/memory.max`]: 'max\n', [`${APP}/memory.current`]: `${GB}` })).memory).toEqual(
      machine,
    );
    const [unlimited, beyond] = ['9223372036854771712\n', `${64 * GB}\n`];
    for (const limit of [unlimited, beyond]) {
      const files = { 'sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes': limit };
      expect(sampleOf(version1(files)).memory).toEqual(machine);
    }
  });

  it('[MACHINE-1] version 2: of every ancestor the smallest limit is the total, and the least that is left is available', () => {
    const root = version2({
      [`${APP}/memory.max`]: `${2 * GB}\n`,
      [`${APP}/memory.current`]: `${1.5 * GB}\n`,
      // Files that the kernel can drop at once are not used up.
      [`${APP}/memory.stat`]: `anon 5\ninactive_anon 7\ninactive_file ${GB}\nactive_file 9\n`,
      [`${POD}/memory.max`]: `${8 * GB}\n`,
      [`${POD}/memory.current`]: `${7 * GB}\n`,
    });
    // Left: 1.5 GB of its own, 1 GB of that of the pod, which is 87.5 % full.
    expect(sampleOf(root).memory).toEqual({
      ...{ totalMB: 2_048, availableMB: 1_024, usedPercent: 87.5, fullestMB: 8_192, from: 'container' },
    });
    root.write({ [`${BOX}/memory.max`]: 'max\n', [`${BOX}/memory.high`]: `${GB}\n`, [`${BOX}/memory.current`]: '0\n' });
    expect(sampleOf(root).memory).toMatchObject({ totalMB: 1_024, availableMB: 1_024, from: 'container' });
  });

  it('[MACHINE-1] a small container in a full machine has what the machine has left', () => {
    const root = version2({
      'proc/meminfo': 'MemTotal: 16777216 kB\nMemAvailable: 102400 kB\n',
      [`${APP}/memory.max`]: `${GB}\n`,
      [`${APP}/memory.current`]: '0\n',
    });
    expect(sampleOf(root).memory).toEqual({
      ...{ totalMB: 1_024, availableMB: 100, usedPercent: 99.4, fullestMB: 16_384, from: 'container' },
    });
  });

  it('[MACHINE-1] version 1: every ancestor, and limits that are not visible in the container', () => {
    const [own, above] = ['sys/fs/cgroup/memory/docker/abc', 'sys/fs/cgroup/memory/docker'];
    const root = version1({
      [`${own}/memory.limit_in_bytes`]: `${4 * GB}\n`,
      [`${own}/memory.usage_in_bytes`]: `${3 * GB}\n`,
      [`${own}/memory.stat`]: `inactive_file 1\nhierarchical_memory_limit ${2 * GB}\ntotal_inactive_file ${GB}\n`,
      [`${above}/memory.limit_in_bytes`]: `${2 * GB}\n`,
      [`${above}/memory.usage_in_bytes`]: `${GB}\n`,
      'sys/fs/cgroup/memory/memory.usage_in_bytes': `${1.5 * GB}\n`,
    });
    expect(sampleOf(root).memory).toEqual({ totalMB: 2_048, availableMB: 1_024, usedPercent: 50, from: 'container' });
    root.write({ [`${above}/memory.limit_in_bytes`]: '9223372036854771712\n' });
    expect(sampleOf(root).memory).toMatchObject({ totalMB: 2_048, availableMB: 512, from: 'container' });
    // Without `use_hierarchy`, a limit further out does not count.
    root.write({
      [`${own}/memory.stat`]: `hierarchical_memory_limit ${4 * GB}\ntotal_inactive_file 0\n`,
      [`${above}/memory.limit_in_bytes`]: `${MB}\n`,
    });
    expect(sampleOf(root).memory).toMatchObject({ totalMB: 4_096, availableMB: 1_024 });
  });

  it('[MACHINE-1] in a container that is mounted as the root of its cgroups, or behind links and blanks', () => {
    const root = new FakeRoot({
      ...MACHINE,
      'proc/self/mountinfo':
        '1 2 0:30 /other /mnt/wrong rw - cgroup2 cgroup rw\n700 690 0:30 /docker/a\\040b /sys/fs/my\\040groups ro - cgroup2 cgroup rw\n',
      'proc/self/cgroup': '0::/docker/a b\n',
      'sys/fs/my groups/memory.max': `${GB}\n`,
      'sys/fs/my groups/memory.current': `${GB / 2}\n`,
    });
    expect(sampleOf(root).memory).toMatchObject({ totalMB: 1_024, availableMB: 512 });
    // A cgroup outside of the namespace is not visible: nothing is said of it, and nothing else taken for it.
    root.write({ 'proc/self/cgroup': '0::/../docker/a b\n' });
    expect(sampleOf(root).memory).toMatchObject({ totalMB: 16_384, from: 'machine' });
  });

  it('[MACHINE-1] where there is no /proc it is what Node says, and the limit of the container', () => {
    const sample = (limit: number) =>
      new HostSampler({
        root: new FakeRoot().path,
        system: { ...SYSTEM, memory: () => ({ total: 8 * GB, available: 2 * GB, limit }) },
      }).sample().memory;
    expect(sample(0)).toEqual({ totalMB: 8_192, availableMB: 2_048, usedPercent: 75, from: 'machine' });
    // What libuv says where there is no limit.
    expect(sample(2 ** 64)).toMatchObject({ totalMB: 8_192 });
    expect(sample(GB)).toMatchObject({ totalMB: 1_024, availableMB: 1_024 });
  });
});

describe('what cannot be read, or makes no sense', () => {
  it('[MACHINE-2] leaves out what is left when one usage is not known', () => {
    for (const usage of ['', 'banana\n', '-5\n', '1e9\n', 'max\n', `${'9'.repeat(30)}\n`, ' '.repeat(70_000)]) {
      const root = version2({ [`${APP}/memory.max`]: `${GB}\n`, [`${APP}/memory.current`]: usage });
      expect(sampleOf(root).memory).toEqual({ totalMB: 1_024, from: 'container' });
    }
    const root = version2({ 'proc/meminfo': 'MemTotal: 1024 kB\n' });
    expect(sampleOf(root).memory).toEqual({ totalMB: 1, from: 'machine' });
  });

  it('[MACHINE-2] is no limit when it is none', () => {
    for (const limit of ['', 'banana\n', '0\n', '-1\n', `${'9'.repeat(30)}\n`, '\0\0\0', 'x'.repeat(200_000)]) {
      const root = version2({
        [`${APP}/memory.max`]: limit,
        [`${APP}/cpu.max`]: limit,
        [`${APP}/pids.max`]: limit === '0\n' ? '' : limit,
      });
      expect(sampleOf(root)).toMatchObject({
        memory: { totalMB: 16_384, from: 'machine' },
        cpus: { allowed: 8, from: 'affinity' },
        pids: { from: 'kernel' },
      });
    }
  });

  it('[MACHINE-2] is within bounds when it lies', () => {
    const root = version2({
      'proc/meminfo': 'MemTotal: 1024 kB\nMemAvailable: 999999999 kB\n',
      [`${APP}/memory.max`]: '1000000\n',
      [`${APP}/memory.current`]: '5000000\n',
      [`${APP}/memory.stat`]: 'inactive_file 1000\n',
    });
    expect(sampleOf(root).memory).toEqual({ totalMB: 1, availableMB: 0, usedPercent: 100, from: 'container' });
    root.write({ [`${APP}/memory.stat`]: 'inactive_file 99999999999\n' });
    expect(sampleOf(root).memory).toEqual({ totalMB: 1, availableMB: 1, usedPercent: 0, from: 'container' });
  });

  it('[MACHINE-2] is left out, with folders in place of files, too', () => {
    const root = new FakeRoot();
    for (const name of ['proc/meminfo', 'proc/self/cgroup', 'proc/self/fd', 'proc/pressure/memory', 'proc/loadavg']) {
      mkdirSync(join(root.path, name), { recursive: true });
    }
    const system = {
      ...SYSTEM,
      memory: () => ({ total: 0, available: 0, limit: 0 }),
      load: () => [],
      parallelism: () => 0,
    };
    const { at, heap, ...rest } = new HostSampler({ root: root.path, clock: new ManualClock(5), system }).sample();
    expect(at).toBe(5);
    expect(heap?.usedMB).toBeGreaterThan(0);
    expect(Object.values(rest).filter((value) => value !== undefined)).toEqual([]);
  });

  it('[MACHINE-2] takes no memory for used because the file that says so cannot be read', () => {
    const root = version2();
    root.remove('proc/meminfo');
    mkdirSync(join(root.path, 'proc/meminfo'));
    expect(sampleOf(root).memory).toEqual({ totalMB: 7_168, from: 'machine' });
  });

  it('[MACHINE-2] says what there is, and nothing of what is used, while it cannot read even of itself', () => {
    const root = version2({ [`${APP}/memory.max`]: `${GB}\n`, [`${APP}/memory.current`]: '0\n', 'proc/self/fd/0': '' });
    const sampler = samplerOf(root);
    const { memory, cpus, descriptors } = sampler.sample();
    root.remove('proc/self/status', 'proc/self/limits');
    for (const name of ['status', 'limits']) mkdirSync(join(root.path, 'proc/self', name));
    const { at, heap, ...rest } = sampler.sample();
    expect(rest).toEqual({ memory: { totalMB: 1_024, from: 'container' }, cpus, descriptors });
    root.remove('proc/self/status');
    root.write({ 'proc/self/status': 'VmRSS:\t    2048 kB\n' });
    expect(sampler.sample()).toMatchObject({ memory, heap: { residentMB: 2 } });
  });

  it('[MACHINE-2] never throws, and no figure is negative or not a number, whatever the files say', () => {
    const FILES = [
      ...Object.keys(MACHINE),
      ...['memory.max', 'memory.current', 'memory.stat', 'cpu.max', 'pids.max', 'pids.current'].map(
        (file) => `${APP}/${file}`,
      ),
      'proc/pressure/memory',
      'proc/self/mountinfo',
      'proc/self/cgroup',
    ];
    const root = version2();
    const word = fc.oneof(
      fc.constantFrom(
        'max',
        '0',
        '-1',
        '1',
        '0::/pod/box/app',
        'MemTotal:',
        'inactive_file',
        'Max processes',
        'some avg10=',
        '/',
        '0-3',
      ),
      fc.string({ maxLength: 20 }),
      fc.bigInt({ min: 0n, max: 2n ** 66n }).map(String),
    );
    const text = fc.array(fc.tuple(word, fc.constantFrom(' ', '\n', '\t', ':', '')), { maxLength: 12 });
    const content = text.map((parts) => parts.flat().join(''));
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...FILES), content, { maxKeys: 5 }), (files) => {
        root.write({ ...MACHINE, 'proc/self/mountinfo': MOUNT_2, 'proc/self/cgroup': '0::/pod/box/app\n', ...files });
        const wrong = figuresOf(sampleOf(root)).filter((value) => !(value >= 0 && value < Infinity));
        expect(wrong).toEqual([]);
      }),
      { numRuns: propertyRuns(150).cases },
    );
  });
});

function figuresOf(value: unknown): number[] {
  if (typeof value === 'number') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(figuresOf) : [];
}

describe('CPUs', () => {
  it('[MACHINE-3] are those on which the process may run, as far as the machine has them', () => {
    const cpus = (allowed: string, online: string) =>
      sampleOf(
        version2({
          'proc/self/status': `Cpus_allowed_list:\t${allowed}\n`,
          'sys/devices/system/cpu/online': `${online}\n`,
        }),
      ).cpus;
    expect(cpus('0-127', '0-3')).toEqual({ allowed: 4, from: 'affinity' });
    expect(cpus('1,3,5-6', '0-5')).toEqual({ allowed: 3, from: 'affinity' });
    // Not readable: what Node says.
    for (const odd of ['', 'all', '3-1', '1,0', '0-9999999999']) expect(cpus(odd, '0-7')?.allowed).toBe(3);
    expect(cpus('0-3', 'nonsense')?.allowed).toBe(3);
  });

  it('[MACHINE-3] the smallest quota of all ancestors counts, in both versions', () => {
    const second = version2({
      [`${APP}/cpu.max`]: 'max 100000\n',
      [`${BOX}/cpu.max`]: '150000 100000\n',
      [`${POD}/cpu.max`]: '600000 100000\n',
    });
    expect(sampleOf(second).cpus).toEqual({ allowed: 1.5, from: 'quota' });
    const [own, above] = ['sys/fs/cgroup/cpu,cpuacct/docker/abc', 'sys/fs/cgroup/cpu,cpuacct/docker'];
    const first = version1({
      [`${own}/cpu.cfs_quota_us`]: '-1\n',
      [`${own}/cpu.cfs_period_us`]: '100000\n',
      [`${above}/cpu.cfs_quota_us`]: '25000\n',
      [`${above}/cpu.cfs_period_us`]: '50000\n',
    });
    expect(sampleOf(first).cpus).toEqual({ allowed: 0.5, from: 'quota' });
    first.write({ [`${above}/cpu.cfs_period_us`]: '0\n' });
    expect(sampleOf(first).cpus).toEqual({ allowed: 8, from: 'affinity' });
  });
});

describe('pids', () => {
  const limits = (processes: string) => ({
    'proc/self/limits': `Max processes             ${processes}      9999   processes \n`,
  });
  const user = (uid: number, capabilities: string) => ({
    'proc/self/status': `Uid:\t${uid}\t${uid}\t${uid}\t${uid}\nCapEff:\t${capabilities}\n`,
  });

  it('[MACHINE-4] are those of the limit of which the least is left', () => {
    expect(sampleOf(version2()).pids).toEqual({ used: 400, allowed: 127_000, from: 'kernel' });
    const root = version2({
      'proc/sys/kernel/pid_max': '32768\n',
      [`${APP}/pids.max`]: 'max\n',
      [`${APP}/pids.current`]: '90\n',
      [`${POD}/pids.max`]: '2000\n',
      [`${POD}/pids.current`]: '1990\n',
      [`${BOX}/pids.max`]: '100\n',
      [`${BOX}/pids.current`]: '40\n',
    });
    expect(sampleOf(root).pids).toEqual({ used: 1_990, allowed: 2_000, from: 'cgroup' });
    root.remove(`${POD}/pids.current`);
    expect(sampleOf(root).pids).toEqual({ used: 40, allowed: 100, from: 'cgroup' });
    root.remove(`${BOX}/pids.max`);
    expect(sampleOf(root).pids).toEqual({ used: 400, allowed: 32_768, from: 'kernel' });
    const first = version1({
      'sys/fs/cgroup/pids/docker/abc/pids.max': '0\n',
      'sys/fs/cgroup/pids/docker/abc/pids.current': '12\n',
    });
    expect(sampleOf(first).pids).toEqual({ used: 12, allowed: 0, from: 'cgroup' });
  });

  it('[MACHINE-4] the limit of a user counts, except for those to which the kernel does not apply it', () => {
    const least = (...files: FakeFiles[]) => sampleOf(version2(Object.assign({}, ...files))).pids;
    // All threads of the machine are less than half of it: so are those of the user.
    expect(least(user(1_000, '0000000000000000'), limits('900'))).toEqual({ used: 400, allowed: 900, from: 'user' });
    expect(least(user(1_000, '0000000001000000'), limits('900'))?.from).toBe('kernel');
    expect(least(user(1_000, '0000000000200000'), limits('900'))?.from).toBe('kernel');
    expect(least(user(0, '0000000000000000'), limits('900'))?.from).toBe('kernel');
    expect(least(user(1_000, '0000000000000000'), limits('unlimited'))?.from).toBe('kernel');
    // Root of a user namespace is a user like others.
    const inNamespace = { 'proc/self/uid_map': '0 1000 1\n' };
    expect(least(user(0, '000001ffffffffff'), limits('900'), inNamespace)?.from).toBe('user');
  });

  it('[MACHINE-4] the threads of the user are counted when all of the machine might not fit, at most each 30 s', () => {
    const uid = process.getuid?.() ?? 0;
    const stat = (pid: number, name: string, threads: number) => ({
      [`proc/${pid}/stat`]: `${pid} (${name}) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 ${threads} 0 5\n`,
    });
    const root = version2({
      ...user(uid, '0000000000000000'),
      ...limits('500'),
      'proc/self/uid_map': '0 1000 1\n',
      ...stat(10, 'node', 11),
      ...stat(11, 'a) S 1 (b', 7),
    });
    const clock = new ManualClock();
    const sampler = new HostSampler({ root: root.path, clock, system: SYSTEM });
    expect(sampler.sample().pids).toEqual({ used: 18, allowed: 500, from: 'user' });
    root.write(stat(12, 'more', 100));
    clock.advance(29_999);
    expect(sampler.sample().pids?.used).toBe(18);
    clock.advance(1);
    expect(sampler.sample().pids?.used).toBe(118);
  });
});

describe('pressure and load', () => {
  const LINES = 'some avg10=1.50 avg60=20.00 avg300=0.00 total=9\nfull avg10=0.25 avg60=0.00 avg300=100.00 total=3\n';
  const some = { avg10: 1.5, avg60: 20, avg300: 0 };
  const full = { avg10: 0.25, avg60: 0, avg300: 100 };

  it('[MACHINE-5] are those of the machine and of the own cgroup', () => {
    const root = version2({
      'proc/pressure/memory': LINES,
      'proc/pressure/cpu': LINES.split('\n')[0] as string,
      [`${APP}/io.pressure`]: LINES,
      [`${POD}/memory.pressure`]: LINES,
    });
    expect(sampleOf(root)).toMatchObject({
      pressure: {
        machine: { memory: { some, full }, cpu: { some, full: undefined }, io: undefined },
        cgroup: { memory: undefined, io: { some, full } },
      },
      load: [0.5, 1.25, 2],
    });
  });

  it('[MACHINE-5] are left out where there are none', () => {
    expect(sampleOf(version2()).pressure).toBeUndefined();
    for (const text of [
      '',
      'some avg10=x',
      'some avg10=500.00 avg60=1.00 avg300=1.00 total=1\n',
      'full avg10=1 avg60=1 avg300=1 total=1',
    ]) {
      expect(sampleOf(version2({ 'proc/pressure/memory': text })).pressure).toBeUndefined();
    }
    expect(sampleOf(new FakeRoot()).load).toEqual([9, 9, 9]);
  });
});

describe('this process', () => {
  it('[MACHINE-6] its descriptors are counted, on any kernel', () => {
    const root = version2({ 'proc/self/fd/0': '', 'proc/self/fd/1': '', 'proc/self/fd/2': '', 'proc/self/fd/3': '' });
    // One is open only to look.
    expect(sampleOf(root).descriptors).toEqual({ used: 3, allowed: 1_024 });
  });

  it('[MACHINE-6] its heap', () => {
    const { heap } = new HostSampler().sample();
    expect(heap?.limitMB).toBeGreaterThan(heap?.usedMB ?? Infinity);
    expect(heap?.residentMB).toBeGreaterThan(heap?.usedMB ?? Infinity);
  });

  it('[MACHINE-6] the delay of its event loop since the last sample, while the sampler is started', async () => {
    const sampler = new HostSampler();
    const delay = () => sampler.sample().eventLoopDelay;
    const block = () => {
      const begin = performance.now();
      while (performance.now() - begin < 500);
    };
    onTestFinished(() => sampler.stop());
    expect(delay()).toBeUndefined();
    sampler.start();
    sampler.start();
    await until('the first look', delay);
    // Blocked right after a sample, up to the next one.
    block();
    expect(delay()?.max).toBeGreaterThan(250);
    // Blocked right after a sample; then Node looks again.
    block();
    await flush();
    const later = await until('the next look', delay);
    expect(later.max).toBeGreaterThan(250);
    expect(later.max).toBeGreaterThanOrEqual(later.p99);
    expect(later.max).toBeGreaterThanOrEqual(later.mean);
    block();
    sampler.stop();
    sampler.stop();
    expect(delay()).toBeUndefined();
  });

  it('[MACHINE-6] a started sampler keeps no host alive', async () => {
    const { code, stderr } = await runHost(`
      const { HostSampler } = await import(SRC + '/process/host/host-sampler.js');
      const sampler = new HostSampler();
      sampler.start();
      sampler.sample();
    `);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  });
});

describe('a host without free descriptors', () => {
  it('[MACHINE-2] [USAGE-10] gets those back that are kept, and then is measured as far as it can be, without an error', async () => {
    const { stdout, stderr } = await runHost(
      `
      const { closeSync, openSync } = await import('node:fs');
      const { HostSampler } = await import(SRC + '/process/host/host-sampler.js');
      const { KeptFile } = await import(SRC + '/process/kept-file.js');
      const sampler = new HostSampler();
      const has = ({ memory, cpus, descriptors, heap }) => ({
        memory: memory?.availableMB !== undefined, total: memory?.totalMB, cpus: cpus?.allowed, ...descriptors, heap: heap.usedMB > 0,
      });
      const kept = ['stat', 'statm', 'limits', 'status'].map((name) => new KeptFile('/proc/self/' + name));
      for (const file of kept) file.read();
      const taken = [];
      const takeAll = () => {
        try {
          for (;;) taken.push(openSync('/dev/null', 'r'));
        } catch {}
      };
      const said = [has(sampler.sample())];
      takeAll();
      said.push(has(sampler.sample()));
      takeAll();
      said.push(has(sampler.sample()));
      for (const descriptor of taken) closeSync(descriptor);
      said.push(has(sampler.sample()));
      console.log(JSON.stringify(said));
      `,
      { before: 'ulimit -n 80' },
    );
    expect(stderr).toBe('');
    const [first, given, none, again] = JSON.parse(stdout) as Record<string, unknown>[];
    const { total, cpus } = first ?? {};
    expect(first).toMatchObject({ memory: true, allowed: 80, heap: true });
    expect(given).toMatchObject({ memory: true, total, cpus });
    expect(given?.used).toBeLessThan(80);
    expect(none).toMatchObject({ memory: false, total, cpus, used: expect.any(Number), heap: true });
    expect(again).toMatchObject({ memory: true, total, cpus });
  });
});

describe('the cgroup of the host', () => {
  it('[MACHINE-7] is looked up again when the host was moved, and only then', () => {
    const root = version2({ [`${APP}/memory.max`]: `${GB}\n`, [`${APP}/memory.current`]: '0\n' });
    const sampler = samplerOf(root);
    const total = () => sampler.sample().memory?.totalMB;
    expect(total()).toBe(1_024);
    root.write({ 'proc/self/mountinfo': 'nothing' });
    expect(total()).toBe(1_024);
    root.write({
      'proc/self/mountinfo': MOUNT_2,
      'proc/self/cgroup': '0::/elsewhere\n',
      'sys/fs/cgroup/elsewhere/memory.max': `${2 * GB}\n`,
      'sys/fs/cgroup/elsewhere/memory.current': '0\n',
    });
    root.remove('sys/fs/cgroup/pod');
    expect(total()).toBe(2_048);
    root.remove('proc/self/cgroup');
    expect(total()).toBe(16_384);
  });
});

describe.runIf(process.platform === 'linux')('the machine of this test', () => {
  it('[MACHINE-1] is measured', () => {
    const { memory, cpus, pids, load, descriptors } = new HostSampler().sample();
    expect(memory?.totalMB).toBeGreaterThan(memory?.availableMB ?? Infinity);
    expect(cpus?.allowed).toBeGreaterThan(0);
    expect(pids?.allowed).toBeGreaterThan(pids?.used ?? Infinity);
    expect(load).toHaveLength(3);
    expect(descriptors?.used).toBeGreaterThan(2);
  });
});
