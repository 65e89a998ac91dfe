import type { BigIntStats } from 'node:fs';
import { lstat, readFile, realpath } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { basename, join, resolve } from 'node:path';
import { errnoOf, messageOf, PoolError } from '../../errors.js';
import { systemClock } from '../../runtime/clock.js';
import { mayBeOpenToOthers, pathProblem } from '../../runtime/safe-path.js';
import { CAN_PIN, PinnedFolder } from './pinned-folder.js';
import { Slices } from './slices.js';

/** ms. A server may not listen yet. */
const YOUNG = 60_000;
/** ms, for one connection. The kernel answers at once. */
const LONGEST_CONNECT = 1_000;
/** What is bound, in this network namespace. */
const BOUND = '/proc/net/unix';
const LIMITS = { steps: 500_000, time: 60_000 };
/** The address of a socket has 108 bytes, the last a NUL. Node may cut off what is longer. */
const LONGEST_PATH = 107;

/**
 * Removes Unix socket files that servers have left behind: those directly in `folder` that belong to this user, are older than
 * 60 s (by the time of their last change) and refuse a connection (ECONNREFUSED). Nothing else is touched: no other file and no
 * link; no socket that accepts, has a full backlog (EAGAIN), or is bound by a living process of this network namespace, even
 * one that does not listen. A living server gets one connection that is closed at once.
 *
 * It looks at no more than 500,000 files, for at most 60 s. Linux only.
 *
 * @returns the paths of the files that were removed; an empty array where there is no such folder
 * @throws PoolError `INVALID_OPTIONS`: it is no folder, this user cannot read it, or another user could exchange the files of
 *   this user in it; `NOT_SUPPORTED`: there is no /proc, or `/proc/net/unix` cannot be read. On macOS a full backlog refuses a
 *   connection, too, so that a refusal does not show that no server lives.
 */
export async function removeStaleSockets(folder: string): Promise<string[]> {
  if (typeof folder !== 'string' || folder === '') throw invalid('the folder must be a path');
  if (!CAN_PIN)
    throw new PoolError('NOT_SUPPORTED', `removeStaleSockets() needs /proc, which ${process.platform} does not have`);
  const path = resolve(folder);
  let pinned: PinnedFolder | undefined;
  try {
    const real = await realpath(path);
    const problem = pathProblem(real, undefined, mayBeOpenToOthers);
    if (problem !== undefined) throw invalid(`${path}: ${problem}`);
    pinned = await PinnedFolder.open(real);
    return await removeFrom(pinned, [...new Set([path, real])]);
  } catch (error) {
    if (error instanceof PoolError) throw error;
    if (errnoOf(error) === 'ENOENT') return [];
    throw invalid(`${path}: ${errnoOf(error) === 'ENOTDIR' ? 'it is no folder' : messageOf(error)}`);
  } finally {
    await pinned?.close();
  }
}

function invalid(problem: string): PoolError {
  return new PoolError('INVALID_OPTIONS', `removeStaleSockets(): ${problem}`, { problems: [problem] });
}

/** @param paths of the folder, as it may have been named by those that have bound a socket */
async function removeFrom(folder: PinnedFolder, paths: readonly string[]): Promise<string[]> {
  const slices = new Slices(systemClock, LIMITS, { hold: true });
  const removed: string[] = [];
  let bound: readonly string[] | undefined;
  for await (const entry of await folder.entries()) {
    if (!(await slices.next())) break;
    if (!entry.isSocket()) continue;
    try {
      const status = await folder.statusOf(entry.name);
      const name = Buffer.from(entry.name, 'latin1').toString();
      if (!isOldSocket(status) || !(await refuses(folder, entry.name, name))) continue;
      bound ??= await boundPaths();
      if (await isBound(bound, paths, name, status)) continue;
      // A new server may take the name at any time.
      if (folder.removeSame(entry.name, status)) removed.push(join(paths[0] ?? '', name));
    } catch (error) {
      // Else it is gone, or the system does not let this user remove it.
      if (error instanceof PoolError) throw error;
    }
  }
  return removed;
}

function isOldSocket(status: BigIntStats): boolean {
  return status.isSocket() && Number(status.uid) === process.getuid?.() && Date.now() - Number(status.mtimeMs) >= YOUNG;
}

/** @param name the same name as text, since Node connects to no other */
async function refuses(folder: PinnedFolder, entry: string, name: string): Promise<boolean> {
  const path = folder.at(entry);
  if (path.length > LONGEST_PATH || Buffer.from(name).toString('latin1') !== entry) return false;
  return (await answerOf(path.toString())) === 'ECONNREFUSED';
}

/** The errno of the connection; undefined when it was made, or there is no answer in time. */
function answerOf(path: string): Promise<string | undefined> {
  return new Promise((settle) => {
    const socket = createConnection({ path });
    const timer = setTimeout(() => end(undefined), LONGEST_CONNECT);
    const end = (errno: string | undefined) => {
      clearTimeout(timer);
      socket.destroy();
      settle(errno);
    };
    socket.once('connect', () => end(undefined));
    // More than once: an error may follow the end.
    socket.on('error', (error) => end(errnoOf(error)));
  });
}

/**
 * The paths of the sockets of all living processes, as they were bound. A socket that does not listen refuses connections,
 * too.
 */
async function boundPaths(): Promise<string[]> {
  const text = await readFile(BOUND, 'utf8').catch((error: unknown) => {
    const problem = `removeStaleSockets() needs ${BOUND}, which could not be read (${errnoOf(error)})`;
    throw new PoolError('NOT_SUPPORTED', problem);
  });
  // `address: references protocol flags type state inode path`; a path that begins with @ is that of no file.
  return [...text.matchAll(/^[0-9a-f]+: (?:\S+ +){6}([^@\n].*)$/gm)].map(([, path = '']) => path);
}

async function isBound(
  bound: readonly string[],
  folders: readonly string[],
  name: string,
  { dev, ino }: BigIntStats,
): Promise<boolean> {
  for (const path of bound) {
    if (basename(path) !== name) continue;
    // It is not known to which folder a relative one refers.
    if (!path.startsWith('/') || folders.includes(path.slice(0, -name.length - 1))) return true;
    const other = await lstat(path, { bigint: true }).catch(() => undefined);
    if (other?.dev === dev && other.ino === ino) return true;
  }
  return false;
}
