import { createHash, createHmac, randomBytes } from 'node:crypto';
import { type HostOrigin, newOrigin, secretOf } from './host-origin.js';

/** The environment variable that all descendants of a server inherit, and by which they are found. */
export const MARK_VARIABLE = 'MCP_SERVER_POOL_MARK';

/** The identity of a host process: random, made once in its life, so that no two hosts of a machine have the same. */
export interface HostMark extends MarkedHost {
  /**
   * 32 hexadecimal digits from which all else follows. A process that knows it can mark processes as those of this
   * host, so it appears only where other users cannot read: in files of this user, never on a command line or in a path.
   */
  readonly secret: string;
  /** 32 hexadecimal digits, a hash of the secret: the name of the host. Every user may read it. */
  readonly id: string;
  /** The part of the id that fits into a limit: 31 bits, never 0. */
  readonly number: number;
}

/** The host that a mark names: by its id, or only by the number that fits into a limit. */
export interface MarkedHost {
  readonly id?: string;
  readonly number?: number;
}

/** Names the processes of one instance of a host, or, without `instance`, all processes of the host. */
export interface Mark {
  readonly host: HostMark;
  /** 31 bits, never 0. */
  readonly instance?: number | undefined;
}

/** The mark of one instance. */
export interface InstanceMark extends Mark {
  readonly instance: number;
}

const LARGEST = 0x7fff_ffff;
/** How many marks the variable holds: one for each pool around a server. A limit keeps it from growing without end. */
const MOST_MARKS = 16;
const SEPARATOR = ':';
/** The id of the host, the number of the instance, and the key that shows that this host has written both. */
const ONE_MARK = /^([0-9a-f]{32})\.([1-9][0-9]{0,9})\.([0-9a-f]{32})$/;
const DIGITS = 32;
/** What a variable with that many marks has at most: two times 32 digits, 10 for the instance, and what separates them. */
const LONGEST_VALUE = MOST_MARKS * (2 * DIGITS + 10 + 3);

/**
 * What the copies of the package in one thread share. It goes up when one of it changes: the mark here, and the guard with what
 * is called on it, since two guards with one mark would write one ledger.
 */
export const SHARED_VERSION = 3;

/** Shared by all copies of this version, because no two instances may get the same number. */
const STATE = Symbol.for(`mcp-server-pool.mark/${SHARED_VERSION}`);

interface State {
  readonly secret: string;
  /** Undefined where there is no /proc. */
  readonly origin: HostOrigin | undefined;
  instances: number;
}

/** The mark of this host process. Each worker thread has its own. */
export function hostMark(): HostMark {
  const mark = parseHostMark(state().secret);
  if (mark === undefined) throw new Error('the mark of this host was overwritten');
  return mark;
}

/** A mark for the next instance of this host. */
export function nextInstanceMark(): InstanceMark {
  const shared = state();
  shared.instances = (shared.instances % LARGEST) + 1;
  return { host: hostMark(), instance: shared.instances };
}

/** What the mark of this host process is made of, for its ledger. Undefined where there is no /proc. */
export function hostOrigin(): HostOrigin | undefined {
  return state().origin;
}

function state(): State {
  const shared = globalThis as { [STATE]?: State };
  shared[STATE] ??= newState();
  return shared[STATE];
}

function newState(): State {
  for (;;) {
    const origin = newOrigin();
    const mark = origin ? markOf(origin) : newHostMark();
    if (mark !== undefined) return { secret: mark.secret, origin, instances: 0 };
  }
}

/** The mark of the host with that origin. Undefined for one in 2³¹: its number would be 0. */
export function markOf(origin: HostOrigin): HostMark | undefined {
  return parseHostMark(secretOf(origin));
}

/** A new random mark. Two marks have the same number with a probability of 2⁻³¹. */
export function newHostMark(random: (size: number) => Buffer = randomBytes, idOf = hashOf): HostMark {
  for (;;) {
    const mark = parseHostMark(random(DIGITS / 2).toString('hex'), idOf);
    if (mark !== undefined) return mark;
  }
}

/** The mark with that `secret`, which comes from a pipe or a file. Undefined for anything that is no secret of a mark. */
export function parseHostMark(secret: string, idOf = hashOf): HostMark | undefined {
  if (!/^[0-9a-f]{32}$/.test(secret)) return undefined;
  const id = idOf(secret);
  const number = numberOf(id);
  return number === 0 ? undefined : { secret, id, number };
}

function hashOf(secret: string): string {
  return createHash('sha256').update(`mcp-server-pool ${secret}`).digest('hex').slice(0, DIGITS);
}

function numberOf(id: string): number {
  return Number.parseInt(id.slice(0, 8), 16) & LARGEST;
}

/** Keys that were computed already. */
const keys = new Map<string, string>();
const MOST_KEYS = 1_024;

/**
 * The key of one instance, which only its host can compute. A server sees its own key, and so do other processes of the
 * user that it runs as; it does not help them to forge the mark of another instance.
 */
function keyOf({ secret }: HostMark, instance: number | string): string {
  const name = `${secret}.${instance}`;
  const known = keys.get(name);
  if (known !== undefined) return known;
  const key = createHmac('sha256', secret).update(String(instance)).digest('hex').slice(0, DIGITS);
  if (keys.size >= MOST_KEYS) keys.clear();
  keys.set(name, key);
  return key;
}

/** The mark of one instance, as it is in an environment. */
export function markText({ host, instance }: InstanceMark): string {
  return `${host.id}.${instance}.${keyOf(host, instance)}`;
}

/** The value of the variable: the marks that this host itself has, outermost first, then that of the instance. */
export function environmentValue(mark: InstanceMark, outer = process.env[MARK_VARIABLE]): string {
  // If there are too many, the outermost are kept: their pools end everything that is further in as well.
  const marks = splitMarks(outer ?? '').slice(0, MOST_MARKS - 1);
  return [...marks, markText(mark)].join(SEPARATOR);
}

/** A host as a mark in an environment names it. */
export type NamedHost = Required<MarkedHost>;

/**
 * Splits the hosts in `marks`: up to and with that of `mark`, and those further in. Both are empty when `mark` is not
 * there.
 */
export function hostsAround(marks: readonly string[], mark: Mark): { outer: NamedHost[]; inner: NamedHost[] } {
  const at = marks.findIndex((one) => environmentMatches([one], mark));
  const hosts = marks.map(hostOf);
  const known = (some: typeof hosts) => some.filter((host) => host !== undefined);
  return at === -1
    ? { outer: [], inner: [] }
    : { outer: known(hosts.slice(0, at + 1)), inner: known(hosts.slice(at + 1)) };
}

/** The hosts around this one, outermost first: this host runs in a server of each of them. */
export function outerHosts(outer = process.env[MARK_VARIABLE]): NamedHost[] {
  return splitMarks(outer ?? '')
    .map(hostOf)
    .filter((host) => host !== undefined);
}

/** The host that a mark names; whether it has written the mark is not checked. */
export function hostOf(mark: string): NamedHost | undefined {
  const id = mark.slice(0, DIGITS);
  const number = numberOf(id);
  return number === 0 ? undefined : { id, number };
}

/**
 * Leaves out what is no mark, so that it matches nothing. Every process can write anything of any length there, so it takes
 * no more than a pool writes: 16 marks, one for each host.
 */
function splitMarks(value: string): string[] {
  const parts = value.slice(0, LONGEST_VALUE).split(SEPARATOR);
  // It may have been cut off.
  if (value.length > LONGEST_VALUE) parts.pop();
  const marks = new Map<string, string>();
  for (const part of parts) {
    const id = part.slice(0, DIGITS);
    if (!marks.has(id) && ONE_MARK.test(part)) marks.set(id, part);
  }
  return [...marks.values()].slice(0, MOST_MARKS);
}

const ASSIGNMENT = Buffer.from(`${MARK_VARIABLE}=`);
/** In the middle of an environment: inside a value or another name it is not our variable. */
const NEXT_ASSIGNMENT = Buffer.from(`\0${MARK_VARIABLE}=`);

/**
 * The marks in an environment as /proc/PID/environ shows it: `NAME=value`, each ended by NUL. Those of the first such
 * variable, which is the one that programs see.
 */
export function marksIn(environ: Buffer): string[] {
  const isFirst = environ.subarray(0, ASSIGNMENT.length).equals(ASSIGNMENT);
  const at = isFirst ? 0 : environ.indexOf(NEXT_ASSIGNMENT) + 1;
  if (at === 0 && !isFirst) return [];
  const from = at + ASSIGNMENT.length;
  const end = environ.indexOf(0, from);
  // One more than may be, so that it is known to be longer.
  const to = Math.min(end === -1 ? environ.length : end, from + LONGEST_VALUE + 1);
  return splitMarks(environ.toString('latin1', from, to));
}

/** Whether one of `marks`, as `marksIn` returns them, is that mark, with the key that only its host can compute. */
export function environmentMatches(marks: readonly string[], { host, instance }: Mark): boolean {
  if (instance !== undefined) return marks.includes(markText({ host, instance }));
  return instanceIn(marks, host) !== undefined;
}

/** The number of the instance in the mark of that host among `marks`; undefined when it has none with the right key. */
export function instanceIn(marks: readonly string[], host: HostMark): string | undefined {
  for (const mark of marks) {
    if (!mark.startsWith(host.id)) continue;
    const [, id, number = '', key] = ONE_MARK.exec(mark) ?? [];
    if (id === host.id && key === keyOf(host, number)) return number;
  }
  return undefined;
}

/**
 * The limit of file locks that marks an instance: 62 bits, those of the host first. Linux has ignored RLIMIT_LOCKS
 * since 2.6; every fork and exec inherits it, and /proc shows it for every process.
 */
export function rlimitValue({ host, instance }: InstanceMark): bigint {
  return (BigInt(host.number) << 31n) | BigInt(instance);
}

const LIMIT_LINE = 'Max file locks';

/** The soft limit of file locks in the content of /proc/PID/limits; undefined when it cannot be a mark. */
export function rlimitIn(limits: string): bigint | undefined {
  const at = limits.indexOf(LIMIT_LINE);
  if (at === -1) return undefined;
  // The format is: digits, blanks, the hard limit. `unlimited` has no digits.
  const [digits] = /^[0-9]{10,19}(?= )/.exec(limits.slice(at + LIMIT_LINE.length).trimStart()) ?? [];
  if (digits === undefined) return undefined;
  const value = BigInt(digits);
  return isRlimitMarker(value) ? value : undefined;
}

/** A mark has a host part and an instance part; a small limit that a user has set has no host part. */
function isRlimitMarker(value: bigint): boolean {
  return value >> 31n !== 0n && value >> 62n === 0n && (value & BigInt(LARGEST)) !== 0n;
}

/** The number of the host in a limit, as `rlimitIn` returns it. */
export function hostNumberIn(value: bigint): number {
  return Number(value >> 31n);
}

/** Whether a limit, as `rlimitIn` returns it, is that mark. */
export function rlimitMatches(value: bigint, { host, instance }: Mark): boolean {
  if (!isRlimitMarker(value) || hostNumberIn(value) !== host.number) return false;
  return instance === undefined || (value & BigInt(LARGEST)) === BigInt(instance);
}
