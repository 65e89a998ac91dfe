import { randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { errnoOf, messageOf } from '../../errors.js';
import { withDescriptor } from '../descriptors.js';
import type { HostOrigin, PidScope } from '../marks/host-origin.js';
import { type HostMark, markOf } from '../marks/marker.js';
import type { HostLogin } from '../marks/search-knowledge.js';
import type { ProcessTable } from '../process-table.js';
import { forgetSpare, makePrivate, privateFolder } from './runtime-folder.js';

/** What a host writes down about itself for later hosts. No child pids, because pids are reused. */
export interface LedgerRecord extends HostOrigin {
  /** Not in the file: it follows from the origin. */
  readonly mark: HostMark;
  /** The folders of its cgroups. */
  readonly cgroups: readonly string[];
  /** The limit of a process counts if it has this login. Undefined in ledgers that do not say. */
  readonly login?: HostLogin | undefined;
}

/** A record that was found, and its file. */
export interface LedgerEntry {
  readonly file: string;
  readonly record: LedgerRecord;
}

/** A ledger has 200 to 400 bytes, and the paths of its cgroups. */
const LARGEST = 65_536;
/** At most this many files of a folder are read. */
const MOST_FILES = 10_000;
/** Version of the format. Files of other versions are left to other versions of this package. */
export const LEDGER_FORMAT = 2;
const SUFFIX = `.${LEDGER_FORMAT}.json`;
const FILE = new RegExp(`^[0-9a-f]{32}\\.${LEDGER_FORMAT}\\.json$`);

/**
 * Writes `record` into the first usable folder; if there is none, into that which `makeSpare` makes. Returns the file.
 * @throws Error that says what is wrong with each folder
 */
export function writeLedger(record: LedgerRecord, folders: readonly string[], makeSpare?: () => string): string {
  const problems: string[] = [];
  const places: (string | (() => string))[] = [...folders, ...(makeSpare ? [makeSpare] : [])];
  for (const place of places) {
    let folder = '';
    try {
      folder = typeof place === 'string' ? place : place();
      const file = join(makePrivate(folder), record.mark.id + SUFFIX);
      const { mark, ...rest } = record;
      replace(file, JSON.stringify(rest));
      return file;
    } catch (error) {
      problems.push(`${folder}: ${messageOf(error)}`);
    }
  }
  throw new Error(problems.length > 0 ? problems.join('; ') : 'there is no place for one');
}

const NEW = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

/** Atomic: complete or not there, whenever the host dies. Never through a link, nor into a file that is there already. */
function replace(file: string, text: string): void {
  const draft = `${file}.${randomBytes(8).toString('hex')}`;
  const descriptor = withDescriptor(() => openSync(draft, NEW, 0o600));
  try {
    writeFileSync(descriptor, text);
    renameSync(draft, file);
  } catch (error) {
    unlinkSync(draft);
    throw error;
  } finally {
    closeSync(descriptor);
  }
}

/** Whether a path that comes from elsewhere is that of a ledger of the host with that mark, where only this user can write. */
export function isLedgerOf(file: string, { id }: HostMark): boolean {
  try {
    return basename(file) === id + SUFFIX && privateFolder(dirname(file)) === dirname(file);
  } catch {
    return false;
  }
}

/** Removes a ledger. Call it when no process of its host is left. */
export function removeLedger(file: string): void {
  try {
    unlinkSync(file);
  } catch {
    // It was removed already, by hand or with its folder.
  }
  forgetSpare(dirname(file));
}

/**
 * The records in `folder`; none if there is no such folder. A file that is no ledger, or belongs to another user, is
 * reported to `onProblem`; with its path if it is a damaged ledger of this user.
 */
export function readLedgers(
  folder: string,
  onProblem: (problem: string, damaged: string | undefined) => void = () => {},
): LedgerEntry[] {
  let names: string[];
  let place: string;
  try {
    place = privateFolder(folder);
    names = withDescriptor(() => readdirSync(place));
  } catch (error) {
    if (!['ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? '')) {
      onProblem(`${folder}: ${messageOf(error)}`, undefined);
    }
    return [];
  }
  const entries: LedgerEntry[] = [];
  for (const name of sample(names.filter((each) => FILE.test(each)))) {
    const file = join(place, name);
    const found = readRecord(file, name.slice(0, -SUFFIX.length));
    if (found === 'gone') continue;
    if ('problem' in found) {
      onProblem(`${file}: ${found.problem}`, found.isOurs ? file : undefined);
    } else entries.push({ file, record: found });
  }
  return entries;
}

/** If there are too many, a different part each time: one host after the other reads the rest. */
function sample(names: readonly string[]): readonly string[] {
  if (names.length <= MOST_FILES) return names;
  const from = Math.floor(Math.random() * names.length);
  return [...names.slice(from), ...names.slice(0, from)].slice(0, MOST_FILES);
}

type Unreadable = 'gone' | { readonly problem: string; readonly isOurs: boolean };

function readRecord(file: string, id: string): LedgerRecord | Unreadable {
  let descriptor: number | undefined;
  try {
    // O_NOFOLLOW: not through a link. O_NONBLOCK: does not wait for the writer of a named pipe.
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    descriptor = withDescriptor(() => openSync(file, flags));
    const stat = fstatSync(descriptor);
    if (stat.uid !== process.getuid?.()) return { problem: 'it belongs to another user', isOurs: false };
    if (!stat.isFile()) return { problem: 'it is no file', isOurs: false };
    if (stat.size > LARGEST) return { problem: `it is too large (${stat.size} bytes)`, isOurs: true };
    const buffer = Buffer.alloc(LARGEST);
    const record = parseRecord(buffer.toString('utf8', 0, readSync(descriptor, buffer, 0, LARGEST, 0)));
    // Under another name it would describe a host that has a ledger of its own.
    return record?.mark.id === id ? record : { problem: 'it is no ledger', isOurs: true };
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return 'gone';
    return { problem: errnoOf(error) === 'ELOOP' ? 'it is a symbolic link' : messageOf(error), isOurs: false };
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

/** Parses a ledger. Undefined for anything that `writeLedger` did not write. */
export function parseRecord(text: string): LedgerRecord | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { seed, pid, startTime, bootId, namespaces, cgroups, login } = value as Record<string, unknown>;
  if (typeof seed !== 'string' || !/^[0-9a-f]{32}$/.test(seed)) return undefined;
  if (typeof pid !== 'number' || !Number.isInteger(pid) || pid < 1) return undefined;
  if (typeof startTime !== 'number' || !Number.isInteger(startTime) || startTime < 0) return undefined;
  if (typeof bootId !== 'string' || typeof namespaces !== 'string') return undefined;
  if (!Array.isArray(cgroups) || !cgroups.every((one) => typeof one === 'string')) return undefined;
  if (login !== undefined && login !== null && !(Number.isInteger(login) && (login as number) >= 0)) return undefined;
  const origin = { seed, pid, startTime, bootId, namespaces };
  const mark = markOf(origin);
  return mark && { mark, ...origin, cgroups, login: login as HostLogin | undefined };
}

/**
 * `dead`: the host is dead, but processes that it left may live. `over`: these are gone too, since the machine was
 * booted again. `living` also if that cannot be decided, because the pid belongs to another container, or exists and is
 * not shown (/proc mounted with hidepid).
 */
export function hostStateOf(
  { pid, startTime, bootId, namespaces }: HostOrigin,
  scope: PidScope,
  table: ProcessTable,
): 'living' | 'dead' | 'over' {
  if (bootId !== scope.bootId) return 'over';
  if (namespaces !== scope.namespaces) return 'living';
  const row = table.read(pid);
  if (row === undefined) return exists(pid) ? 'living' : 'dead';
  // The ledger has whole ticks. Within one, it is not known which of two processes with the number has written it.
  return Math.floor(row.startTime) !== startTime || row.dead ? 'dead' : 'living';
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errnoOf(error) !== 'ESRCH';
  }
}
