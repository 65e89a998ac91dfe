import { chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { findCgroup } from '../../src/process/cgroup/cgroup-probe.js';
import { HostCgroup } from '../../src/process/cgroup/host-cgroup.js';
import { hostMark } from '../../src/process/marks/marker.js';

/** Where cgroup2 is mounted on this machine. Read without the code under test. */
export const CGROUP_ROOT = readFileSync('/proc/self/mountinfo', 'utf8')
  .split('\n')
  .find((line) => line.includes(' - cgroup2 '))
  ?.split(' ')[4];

/** Tests that make cgroups are skipped without: an unprivileged user, a container with a read-only /sys. */
export const hasCgroups = findCgroup() instanceof HostCgroup;
export const isRoot = process.geteuid?.() === 0;

/** The folders of this worker's host cgroup that are left. */
export function hostFolders(): string[] {
  const host = findCgroup();
  if (!(host instanceof HostCgroup) || !existsSync(host.folder)) return [];
  return readdirSync(host.folder, { recursive: true, encoding: 'utf8' }).filter((name) => !name.includes('.'));
}

let count = 0;

/** Makes a cgroup below the root, owned by `uid`; when the test is over it is removed with all cgroups below it. */
export function cgroup(uid = 0, ending = ''): string {
  count += 1;
  const folder = join(CGROUP_ROOT ?? '', `mcp-pool-test-${process.pid}-${count}${ending}`);
  makeFor(uid, folder);
  onTestFinished(() => removeAll(folder));
  return folder;
}

/** Makes a cgroup and delegates it: see cgroups(7). */
export function makeFor(uid: number, folder: string): void {
  mkdirSync(folder);
  for (const file of ['', 'cgroup.procs', 'cgroup.subtree_control']) chownSync(join(folder, file), uid, uid);
}

function removeAll(folder: string): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) removeAll(join(folder, entry.name));
  }
  rmdirSync(folder);
}

/** A folder of ordinary files with a host cgroup in it: for controllers that this machine does not have. */
export function fakeCgroups(): { parent: string; host: HostCgroup } {
  const parent = mkdtempSync(join(tmpdir(), 'mcp-pool-cgroup-'));
  onTestFinished(() => rmSync(parent, { recursive: true }));
  const host = new HostCgroup(parent, hostMark());
  mkdirSync(host.folder);
  return { parent, host };
}
