import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  renameSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { errnoOf, messageOf } from '../../errors.js';
import { type HostMark, parseHostMark } from '../marks/marker.js';
import type { ProcessTable } from '../process-table.js';
import { folderProblem, makePrivate } from './runtime-folder.js';

/** What a host writes down of itself, for those who come after it. Never child pids: they are not to be trusted later. */
export interface LedgerRecord {
  readonly mark: HostMark;
  readonly pid: number;
  /** Ticks since boot. */
  readonly startTime: number;
  /** Numbers and times mean nothing after another boot. */
  readonly bootId: string;
  /**
   * Whose numbers and times they are, by their namespaces: in another container they are another's, though it may see the
   * same folder.
   */
  readonly namespaces: string;
  /** The folders of its cgroups. */
  readonly cgroups: readonly string[];
}

/** What is known of a record that was found. */
export interface LedgerEntry {
  readonly file: string;
  readonly record: LedgerRecord;
}

/** Ours have 200 to 400 bytes, and each cgroup adds its path. */
const LARGEST = 65_536;
/** A folder with more files is read up to here. */
const MOST_FILES = 10_000;
/** The number is that of the format: files of another are for another version of this package to read. */
const SUFFIX = '.1.json';
const FILE = /^[0-9a-f]{32}\.1\.json$/;

/** Writes `record` into the first of `folders` that can be used. Returns the file; throws with what is wrong with each. */
export function writeLedger(record: LedgerRecord, folders: readonly string[]): string {
  const problems: string[] = [];
  for (const folder of folders) {
    try {
      makePrivate(folder);
      const file = join(folder, record.mark.text + SUFFIX);
      const { mark, ...rest } = record;
      // Whole or not at all, whenever the host dies.
      writeFileSync(`${file}.new`, JSON.stringify({ mark: mark.text, ...rest }), { mode: 0o600 });
      renameSync(`${file}.new`, file);
      return file;
    } catch (error) {
      problems.push(`${folder}: ${messageOf(error)}`);
    }
  }
  throw new Error(problems.length > 0 ? problems.join('; ') : 'there is no place for one');
}

/** The host has nothing to hand down any more. */
export function removeLedger(file: string): void {
  try {
    unlinkSync(file);
  } catch {
    // Removed by hand, or with its folder.
  }
}

/**
 * The records in `folder`. What is none, or not this user's, is told to `onProblem`, with the file when it is one of ours
 * that is damaged. A folder that is not there holds nothing.
 */
export function readLedgers(
  folder: string,
  onProblem: (problem: string, damaged: string | undefined) => void = () => {},
): LedgerEntry[] {
  let names: string[];
  try {
    const problem = folderProblem(folder);
    if (problem !== undefined) {
      onProblem(`${folder}: ${problem}`, undefined);
      return [];
    }
    names = readdirSync(folder);
  } catch (error) {
    if (!['ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? '')) {
      onProblem(`${folder}: ${messageOf(error)}`, undefined);
    }
    return [];
  }
  const entries: LedgerEntry[] = [];
  for (const name of anyOf(names.filter((each) => FILE.test(each)))) {
    const file = join(folder, name);
    const found = readRecord(file, name.slice(0, -SUFFIX.length));
    if (found === 'gone') continue;
    if ('problem' in found) {
      onProblem(`${file}: ${found.problem}`, found.isOurs ? file : undefined);
    } else entries.push({ file, record: found });
  }
  return entries;
}

/** Of too many not the same each time: what one host does not get to is for the next. */
function anyOf(names: readonly string[]): readonly string[] {
  if (names.length <= MOST_FILES) return names;
  const from = Math.floor(Math.random() * names.length);
  return [...names.slice(from), ...names.slice(0, from)].slice(0, MOST_FILES);
}

type Unreadable = 'gone' | { readonly problem: string; readonly isOurs: boolean };

function readRecord(file: string, mark: string): LedgerRecord | Unreadable {
  let descriptor: number | undefined;
  try {
    // Not through a link, and not waiting for the other end of a named pipe.
    descriptor = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const stat = fstatSync(descriptor);
    if (stat.uid !== process.getuid?.()) return { problem: 'it belongs to another user', isOurs: false };
    if (!stat.isFile()) return { problem: 'it is no file', isOurs: false };
    if (stat.size > LARGEST) return { problem: `it is too large (${stat.size} bytes)`, isOurs: true };
    const buffer = Buffer.alloc(LARGEST);
    const record = parseRecord(buffer.toString('utf8', 0, readSync(descriptor, buffer, 0, LARGEST, 0)));
    // Under another name it would speak for a host that has a ledger of its own.
    return record?.mark.text === mark ? record : { problem: 'it is no ledger', isOurs: true };
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return 'gone';
    return { problem: errnoOf(error) === 'ELOOP' ? 'it is a symbolic link' : messageOf(error), isOurs: false };
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

/** Undefined for anything that was not written by `writeLedger`. */
export function parseRecord(text: string): LedgerRecord | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { mark: markText, pid, startTime, bootId, namespaces, cgroups } = value as Record<string, unknown>;
  const mark = typeof markText === 'string' ? parseHostMark(markText) : undefined;
  if (mark === undefined) return undefined;
  if (typeof pid !== 'number' || !Number.isInteger(pid) || pid < 1) return undefined;
  if (typeof startTime !== 'number' || !Number.isInteger(startTime) || startTime < 0) return undefined;
  if (typeof bootId !== 'string' || typeof namespaces !== 'string') return undefined;
  if (!Array.isArray(cgroups) || !cgroups.every((one) => typeof one === 'string')) return undefined;
  return { mark, pid, startTime, bootId, namespaces, cgroups };
}

/** What makes numbers of processes comparable: this boot of this machine, this container. Throws without /proc. */
export function pidScope(): Pick<LedgerRecord, 'bootId' | 'namespaces'> {
  return {
    bootId: readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim(),
    namespaces: ['pid', 'time'].map(namespaceOf).join(' '),
  };
}

/** Kernels before 5.6 have no time namespaces. */
function namespaceOf(kind: string): string {
  try {
    return readlinkSync(`/proc/self/ns/${kind}`);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return `${kind}:none`;
    throw error;
  }
}

/**
 * `dead`: nothing of that host runs, but what it left may. `over`: not even that. `living` also where it cannot be told,
 * because its number is one of another container.
 */
export function hostStateOf(
  { pid, startTime, bootId, namespaces }: LedgerRecord,
  here: Pick<LedgerRecord, 'bootId' | 'namespaces'>,
  table: ProcessTable,
): 'living' | 'dead' | 'over' {
  if (bootId !== here.bootId) return 'over';
  if (namespaces !== here.namespaces) return 'living';
  const row = table.read(pid);
  return row === undefined || row.startTime !== startTime || row.dead ? 'dead' : 'living';
}
