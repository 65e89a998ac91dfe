import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { errnoOf } from '../../errors.js';
import { withDescriptor } from '../../process/descriptors.js';
import type { LaneFolder } from './lane-folder.js';
import { ticketsIn } from './ticket.js';

// What is in the folder of a lane, besides the tickets. Each name begins with the id of its participant.

/** A socket that is not in the queue yet. */
const SOCKET = '.new';
/** Who it is. */
const INFO = '.info';
/** What it has started, for the one that has to end it if this participant dies. */
const RUN = '.run';
const LITTER = /^([0-9a-f]{24})\.(?:new|info|run\.draft)$/;
const RUN_FILE = /^([0-9a-f]{24})\.run$/;

export const socketName = (id: string) => id + SOCKET;
export const runName = (id: string) => id + RUN;

/** The ids of the participants that have started something. */
export function runsIn(names: readonly string[]): string[] {
  return names.flatMap((name) => RUN_FILE.exec(name)?.[1] ?? []);
}

/** A participant as others see it. */
export interface LaneMember {
  /** The process that has called `run()`. */
  readonly pid: number;
  /** The command without its arguments, which may be secret. */
  readonly command: string;
  /** Since when it holds the lane, or waits for it, ms since 1970. */
  readonly since: number;
}

export function writeInfo(folder: LaneFolder, id: string, member: LaneMember): void {
  writeNew(folder.file(id + INFO), JSON.stringify(member));
}

/** Undefined for one that has left, and for files that no participant has written. */
export function readMember(folder: LaneFolder, id: string): LaneMember | undefined {
  // What it has started says since when it holds the lane.
  return memberOf(readJson(folder, runName(id))) ?? memberOf(readJson(folder, id + INFO));
}

export function memberOf(value: Record<string, unknown> | undefined): LaneMember | undefined {
  const { pid, command, since } = value ?? {};
  if (typeof pid !== 'number' || !Number.isInteger(pid) || typeof command !== 'string') return undefined;
  return typeof since === 'number' ? { pid, command, since } : undefined;
}

/** Removes all that a participant has beside its ticket. What it has started is not forgotten by that. */
export function removeInfo(folder: LaneFolder, id: string): void {
  removeFile(folder, id + INFO);
}

/** A missing file is no error: others clean up, too. */
export function removeFile(folder: LaneFolder, name: string): void {
  try {
    unlinkSync(folder.file(name));
  } catch (error) {
    if (!['ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? '')) throw error;
  }
}

/** Ms. It takes a moment from the first file of a participant to its ticket, unless it is stopped. */
const LITTER_AGE = 60_000;

/** Removes what participants have left that died before they had a ticket. One that was only stopped begins again. */
export function removeLitter(folder: LaneFolder, now: number): void {
  const names = folder.list();
  const present = new Set(ticketsIn(names).map(({ id }) => id));
  for (const name of names) {
    const [, id] = LITTER.exec(name) ?? [];
    if (id === undefined || present.has(id)) continue;
    const age = now - (lstatSync(folder.file(name), { throwIfNoEntry: false })?.mtimeMs ?? now);
    if (age > LITTER_AGE) removeFile(folder, name);
  }
}

/** Longer is no file of a lane. */
const LONGEST = 65_536;

/** An object in a file; undefined when there is none. */
export function readJson(folder: LaneFolder, name: string): Record<string, unknown> | undefined {
  let descriptor: number | undefined;
  try {
    // O_NONBLOCK: does not wait for the writer of a named pipe.
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    descriptor = withDescriptor(() => openSync(folder.file(name), flags));
    if (!fstatSync(descriptor).isFile()) return undefined;
    const buffer = Buffer.alloc(LONGEST);
    const value: unknown = JSON.parse(buffer.toString('utf8', 0, readSync(descriptor, buffer, 0, LONGEST, 0)));
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch (error) {
    if (error instanceof SyntaxError || ['ENOENT', 'ELOOP', 'ENOTDIR', 'ENXIO'].includes(errnoOf(error) ?? '')) {
      return undefined;
    }
    throw error;
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

/** Writes a file that is complete whenever this process dies. */
export function replaceFile(folder: LaneFolder, name: string, text: string): void {
  const draft = `${name}.draft`;
  try {
    writeNew(folder.file(draft), text);
    renameSync(folder.file(draft), folder.file(name));
  } catch (error) {
    // ENOSPC.
    rmSync(folder.file(draft), { force: true });
    throw error;
  }
}

const NEW = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW;

function writeNew(path: string, text: string): void {
  const descriptor = withDescriptor(() => openSync(path, NEW, 0o600));
  try {
    writeFileSync(descriptor, text);
  } finally {
    closeSync(descriptor);
  }
}
