import { constants, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf } from '../../errors.js';

// The folder of a cgroup (version 2) as files: the kernel answers at once, nothing here touches a disk. Nothing is kept open.

/** The folder was removed, or has no such file. EOPNOTSUPP: the members of a threaded group are shown by the one above it. */
const NOTHING_THERE = ['ENOENT', 'ENODEV', 'ENOTDIR', 'EOPNOTSUPP'];

/** The text of one of its files; empty when there is none. Throws when the system does not say (EMFILE). */
export function readGroup(folder: string, file: string): string {
  try {
    return readFileSync(join(folder, file), 'latin1');
  } catch (error) {
    if (NOTHING_THERE.includes(errnoOf(error) ?? '')) return '';
    throw error;
  }
}

/** @throws with the errno by which the kernel refuses */
export function writeGroup(folder: string, file: string, value: string): void {
  writeFileSync(join(folder, file), value);
}

/** The value of a key in a file of lines `key value`, such as cgroup.events; undefined when it is not there. */
export function groupCount(folder: string, file: string, key: string): number | undefined {
  const line = readGroup(folder, file)
    .split('\n')
    .find((text) => text.startsWith(`${key} `));
  return line === undefined ? undefined : Number(line.slice(key.length + 1));
}

/** Whether a process lives in it or below. A zombie does not. */
export function isPopulated(folder: string): boolean {
  return groupCount(folder, 'cgroup.events', 'populated') === 1;
}

/** The living processes in it and below: a server may have made groups of its own. */
export function groupPids(folder: string): Set<number> {
  const pids = new Set<number>();
  for (const group of [folder, ...groupsBelow(folder)]) {
    // 0 stands for a process that this one cannot see, being of another pid namespace.
    for (const line of readGroup(group, 'cgroup.procs').split('\n')) if (Number(line) > 0) pids.add(Number(line));
  }
  return pids;
}

/** Kills all in it and below, what they are about to fork included. Nobody there is no error. */
export function killGroup(folder: string): void {
  try {
    // Never made by us: a folder without it is no group.
    writeFileSync(join(folder, 'cgroup.kill'), '1', { flag: constants.O_WRONLY | constants.O_NOFOLLOW } as never);
  } catch (error) {
    // A server that has made its own group a threaded one cannot be killed this way; its members are shown as alive.
    if (!NOTHING_THERE.includes(errnoOf(error) ?? '')) throw error;
  }
}

/** Removes it with all below, from the innermost out. False when a process lives there, or what is there may not be removed. */
export function removeGroup(folder: string): boolean {
  try {
    for (const group of [folder, ...groupsBelow(folder)].reverse()) removeFolder(group);
    return true;
  } catch {
    return false;
  }
}

/** It may be gone already: a pool in a pooled server removes its own. */
function removeFolder(folder: string): void {
  try {
    rmdirSync(folder);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
  }
}

/** Those above before those below. */
function groupsBelow(folder: string): string[] {
  const below: string[] = [];
  try {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      if (!entry.isDirectory()) continue;
      const group = join(folder, entry.name);
      below.push(group, ...groupsBelow(group));
    }
  } catch (error) {
    if (!NOTHING_THERE.includes(errnoOf(error) ?? '')) throw error;
  }
  return below;
}
