import { closeSync, constants, openSync, readdirSync, rmdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf } from '../../errors.js';
import { withDescriptor } from '../descriptors.js';
import { type KeptFile, readOpen } from '../kept-file.js';

// A cgroup (version 2) is a folder of files. Reads and writes are synchronous: the kernel answers at once, no disk is
// involved.

/**
 * The folder was removed, or has no such file. EOPNOTSUPP: a threaded cgroup shows its members in the cgroup above it.
 */
const NOTHING_THERE = ['ENOENT', 'ENODEV', 'ENOTDIR', 'EOPNOTSUPP'];

/**
 * The content of one file of a cgroup; an empty string when there is no such file. Throws when it cannot be read
 * (EMFILE).
 */
export function readCgroupFile(folder: string, file: string): string {
  try {
    const descriptor = withDescriptor(() => openSync(`${folder}/${file}`, 'r'));
    try {
      return readOpen(descriptor);
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    if (NOTHING_THERE.includes(errnoOf(error) ?? '')) return '';
    throw error;
  }
}

/** The same of one that is read often. */
export function readKept(file: KeptFile): string {
  try {
    return file.read();
  } catch (error) {
    if (NOTHING_THERE.includes(errnoOf(error) ?? '')) return '';
    throw error;
  }
}

/** @throws with the errno by which the kernel refuses */
export function writeCgroupFile(folder: string, file: string, value: string): void {
  withDescriptor(() => writeFileSync(join(folder, file), value));
}

/** The value of a key in a file of lines `key value`, such as memory.events; undefined when there is no such key. */
export function cgroupCount(folder: string, file: string, key: string): number | undefined {
  return countIn(readCgroupFile(folder, file), key);
}

/** The same of the content of such a file. */
export function countIn(text: string, key: string): number | undefined {
  const line = `${key} `;
  const at = text.startsWith(line) ? 0 : text.indexOf(`\n${line}`) + 1;
  // Begins with the number; what follows its line is no part of it.
  const value = text.startsWith(line, at) ? Number.parseInt(text.slice(at + line.length), 10) : Number.NaN;
  return Number.isNaN(value) ? undefined : value;
}

/**
 * Whether a process lives in the cgroup or below it. A zombie does not count.
 * @param events its `cgroup.events`, if that is read often
 */
export function isPopulated(folder: string, events?: KeptFile): boolean {
  return countIn(events ? readKept(events) : readCgroupFile(folder, 'cgroup.events'), 'populated') === 1;
}

/**
 * The living processes in the cgroup and below it: a server may have made cgroups of its own.
 * @param procs its `cgroup.procs`, if that is read often
 */
export function cgroupPids(folder: string, procs?: KeptFile): Set<number> {
  const pids = new Set<number>();
  const add = (text: string) => {
    // 0 stands for a process of another pid namespace, which this process cannot see.
    for (const line of text.split('\n')) if (Number(line) > 0) pids.add(Number(line));
  };
  add(procs ? readKept(procs) : readCgroupFile(folder, 'cgroup.procs'));
  if (hasCgroupsIn(folder)) for (const cgroup of cgroupsBelow(folder)) add(readCgroupFile(cgroup, 'cgroup.procs'));
  return pids;
}

/** Kills all processes in the cgroup and below it, also those that are being forked. An empty cgroup is no error. */
export function killCgroup(folder: string): void {
  try {
    // Without O_CREAT: a folder that has no such file is no cgroup.
    const options = { flag: constants.O_WRONLY | constants.O_NOFOLLOW } as never;
    withDescriptor(() => writeFileSync(join(folder, 'cgroup.kill'), '1', options));
  } catch (error) {
    // A threaded cgroup cannot be killed this way. Its members are shown as alive, so this is found out.
    if (!NOTHING_THERE.includes(errnoOf(error) ?? '')) throw error;
  }
}

/**
 * The end of the name of an empty cgroup beside that of an instance: while it is there, a stranger may be in that of the
 * instance. The file system keeps this, because it has to outlive the host.
 */
export const JOINING = '.joining';

/**
 * Removes the cgroup and all below it, innermost first. False when a process lives there, or a folder may not be
 * removed.
 */
export function removeCgroup(folder: string): boolean {
  try {
    for (const cgroup of [folder, ...cgroupsBelow(folder)].reverse()) removeFolder(cgroup);
    return true;
  } catch {
    return false;
  }
}

/** A missing folder is no error: a pool inside a pooled server removes its own. */
function removeFolder(folder: string): void {
  try {
    rmdirSync(folder);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
  }
}

/** All cgroups below, parents before their children. */
function cgroupsBelow(folder: string): string[] {
  return cgroupsIn(folder).flatMap((cgroup) => [cgroup, ...cgroupsBelow(cgroup)]);
}

const isSign = (name: string) => name.endsWith(JOINING);

/** The kernel counts a link for each cgroup below, in addition to the two of every folder. Much cheaper than a list of all. */
function hasCgroupsIn(folder: string): boolean {
  const links = statSync(folder, { throwIfNoEntry: false })?.nlink;
  return links !== undefined && links !== 2;
}

/** The cgroups directly below. */
export function cgroupsIn(folder: string): string[] {
  try {
    const entries = withDescriptor(() => readdirSync(folder, { withFileTypes: true }));
    const names = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
    // These first, since the last is removed first: as long as the cgroup of an instance is there, it needs its sign.
    const ordered = [...names.filter(isSign), ...names.filter((name) => !isSign(name))];
    return ordered.map((name) => join(folder, name));
  } catch (error) {
    if (!NOTHING_THERE.includes(errnoOf(error) ?? '')) throw error;
    return [];
  }
}
