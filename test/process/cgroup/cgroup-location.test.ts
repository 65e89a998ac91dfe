import { describe, expect, it } from 'vitest';
import { cgroupMounts, folderOf, ownCgroup, unitAround } from '../../../src/process/cgroup/cgroup-location.js';

// Lines as the kernel writes them: proc(5), cgroups(7).
const PLAIN = '35 24 0:30 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate';
const HYBRID = `31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw`;
const BOUND = '700 690 0:30 /docker/abc /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw';
const ODD = '700 690 0:30 / /mnt/my\\040groups rw - cgroup2 cgroup rw';

describe('the place of a cgroup', () => {
  it('[CGROUP-1] is found in mountinfo', () => {
    expect(cgroupMounts(PLAIN)).toEqual([{ root: '/', folder: '/sys/fs/cgroup' }]);
    expect(cgroupMounts(HYBRID)).toEqual([{ root: '/', folder: '/sys/fs/cgroup/unified' }]);
    expect(cgroupMounts(BOUND)).toEqual([{ root: '/docker/abc', folder: '/sys/fs/cgroup' }]);
    expect(cgroupMounts(ODD)).toEqual([{ root: '/', folder: '/mnt/my groups' }]);
    expect(cgroupMounts('')).toEqual([]);
    expect(cgroupMounts('31 23 0:28 / /sys/fs/cgroup rw - tmpfs cgroup2 rw')).toEqual([]);
  });

  it('[CGROUP-1] is the line of hierarchy 0 of the own cgroup', () => {
    expect(ownCgroup('9:name=systemd:/\n8:pids:/x\n0::/user.slice/a:b\n')).toBe('/user.slice/a:b');
    expect(ownCgroup('9:name=systemd:/\n')).toBeUndefined();
  });

  it('[MACHINE-7] of version 1 is found by its controller', () => {
    const both = '3 2 0:1 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct';
    expect(cgroupMounts(HYBRID, 'pids')).toEqual([{ root: '/', folder: '/sys/fs/cgroup/pids' }]);
    expect(cgroupMounts(both, 'cpu')).toEqual([{ root: '/', folder: '/sys/fs/cgroup/cpu,cpuacct' }]);
    expect(cgroupMounts(HYBRID, 'memory')).toEqual([]);
    const text = '9:name=systemd:/s\n8:pids:/x:y\n3:cpu,cpuacct:/c\n1:name=memory:/odd\n0::/\n';
    expect(['pids', 'cpuacct', 'memory'].map((name) => ownCgroup(text, name))).toEqual(['/x:y', '/c', undefined]);
  });

  it('[CGROUP-1] is below the mount, by what is mounted there', () => {
    const [plain, bound] = [PLAIN, BOUND].map((text) => cgroupMounts(text)[0]!);
    expect(folderOf('/', plain!)).toBe('/sys/fs/cgroup');
    expect(folderOf('/a/b', plain!)).toBe('/sys/fs/cgroup/a/b');
    expect(folderOf('/docker/abc', bound!)).toBe('/sys/fs/cgroup');
    expect(folderOf('/docker/abc/x', bound!)).toBe('/sys/fs/cgroup/x');
    expect(folderOf('/docker/abcd', bound!)).toBeUndefined();
    expect(folderOf('/', bound!)).toBeUndefined();
    // Outside of the cgroup namespace.
    expect(folderOf('/../x', plain!)).toBeUndefined();
    expect(folderOf('/x', { root: '/..', folder: '/sys/fs/cgroup' })).toBeUndefined();
  });

  it('[CGROUP-1] may be the systemd unit around it, and nothing else above', () => {
    expect(unitAround('/system.slice/gateway.service/main')).toBe('/system.slice/gateway.service');
    expect(unitAround('/user.slice/user-1000.slice/user@1000.service/app.slice/run-1.scope/x')).toBe(
      '/user.slice/user-1000.slice/user@1000.service/app.slice/run-1.scope',
    );
    for (const path of [
      '/',
      '/system.slice/gateway.service',
      '/user@1000.service/init.scope',
      '/docker/abc',
      '/a.slice/b',
    ]) {
      expect([path, unitAround(path)]).toEqual([path, undefined]);
    }
  });
});
