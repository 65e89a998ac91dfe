import { readFileSync, readlinkSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { errnoOf } from '../../errors.js';
import type { Slices } from './slices.js';

/** A file as processes show it. */
export interface NamedFile {
  /** Absolute, latin1. */
  readonly path: string;
  readonly inode: string;
}

/** Which files of a list a process has open or mapped. */
export interface OpenFiles {
  has(file: NamedFile): boolean;
}

const DELETED = ' (deleted)';
/** `address rights offset device inode path` */
const MAPPED = /^\S+ \S+ \S+ \S+ (\d+) +(\/.*)$/gm;
/** What a look at a descriptor costs, and how many bytes of mappings are one step. */
const [DESCRIPTOR, BYTES] = [5, 500];

/**
 * Looks through /proc for those of `files` that are open, by descriptor or by mapping, in any process that it shows: those of
 * this user, or for root all. By path, and by inode: in another container a file has another path. The device is not compared,
 * since for that the file itself would have to be asked, and it may be on a disk that does not answer; so now and then a file
 * is taken for open that is not. Undefined when the limits of `slices` do not suffice, /proc cannot be read, or a process
 * hangs in the kernel.
 */
export function findOpen(files: Iterable<NamedFile>, slices: Slices, proc = '/proc'): Promise<OpenFiles | undefined> {
  return search(files, slices, proc).catch(() => undefined);
}

async function search(files: Iterable<NamedFile>, slices: Slices, proc: string): Promise<OpenFiles | undefined> {
  const [paths, inodes] = [new Set<string>(), new Set<string>()];
  for (const { path, inode } of files) {
    paths.add(path);
    inodes.add(inode);
  }
  const found = new Set<string>();
  const note = (path: string, inode: string | undefined) => {
    const name = path.endsWith(DELETED) ? path.slice(0, -DELETED.length) : path;
    if (paths.has(name)) found.add(name);
    if (inode !== undefined && inodes.has(inode)) found.add(inode);
  };
  const pids = await readdir(proc);
  let processes = 0;
  for (const pid of pids) {
    if (!/^\d+$/.test(pid)) continue;
    processes += 1;
    // A process may have a million.
    const descriptors = (await readdir(`${proc}/${pid}/fd`).catch(assertNotShown)) ?? [];
    for (const fd of descriptors) {
      if (!(await slices.next(DESCRIPTOR))) return undefined;
      const path = attempt(() => linkOf(`${proc}/${pid}/fd/${fd}`));
      if (path?.startsWith('/') && !path.startsWith('/dev/')) note(path, inodeOf(`${proc}/${pid}/fdinfo/${fd}`));
    }
    const maps = await slices.finish(readMaps(`${proc}/${pid}/maps`));
    if (maps === undefined || !(await slices.next(1 + Math.ceil(maps.length / BYTES)))) return undefined;
    for (const [, inode, path = ''] of maps.matchAll(MAPPED)) note(path, inode);
  }
  return processes === 0 ? undefined : { has: ({ path, inode }) => found.has(path) || found.has(inode) };
}

const reading = new Map<string, Promise<string>>();

/**
 * The kernel locks the memory of the process for it. When the process hangs with that lock, so does the reader: a thread, not
 * the host, and only one for each process, however often it is asked.
 */
function readMaps(file: string): Promise<string> {
  const known = reading.get(file);
  if (known !== undefined) return known;
  const read = readFile(file, 'latin1')
    .catch((error: unknown) => assertNotShown(error) ?? '')
    .finally(() => reading.delete(file));
  reading.set(file, read);
  return read;
}

function linkOf(fd: string): string {
  try {
    return readlinkSync(fd, 'latin1');
  } catch (error) {
    // Then it is found by its inode alone.
    if (errnoOf(error) === 'ENAMETOOLONG') return '/';
    throw error;
  }
}

/** Since Linux 5.14. */
function inodeOf(fdinfo: string): string | undefined {
  return /^ino:\s*(\d+)$/m.exec(attempt(() => readFileSync(fdinfo, 'latin1')) ?? '')?.[1];
}

/** Undefined for what is gone, or not shown. Throws what shows nothing of it, such as EMFILE. */
function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    return assertNotShown(error);
  }
}

function assertNotShown(error: unknown): undefined {
  if (!['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes(errnoOf(error) ?? '')) throw error;
}
