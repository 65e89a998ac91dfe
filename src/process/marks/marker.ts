import { randomBytes } from 'node:crypto';

/** The variable by which everything that descends from a server is found, wherever it went. */
export const MARK_VARIABLE = 'MCP_SERVER_POOL_MARK';

/** Who a host process is: made at random, once in its life, so that no other host on the machine has the same. */
export interface HostMark {
  /** 32 hexadecimal digits: as it stands in the environment, on a command line, in a file. */
  readonly text: string;
  /** The part of it that a limit has room for: 31 bits, never 0. */
  readonly number: number;
}

/** The host whose mark a process bears: by its text, or only by the number that a limit has room for. */
export interface MarkedHost {
  readonly text?: string;
  readonly number?: number;
}

/** Whose processes are meant: those of one instance of a host, or, without `instance`, all of the host. */
export interface Mark {
  readonly host: HostMark;
  /** 31 bits, never 0. */
  readonly instance?: number | undefined;
}

/** The mark that the processes of one instance bear. */
export interface InstanceMark extends Mark {
  readonly instance: number;
}

const LARGEST = 0x7fff_ffff;
/** A pool inside a pooled server inside a … : more levels than this are a mistake, and the variable shall not grow for ever. */
const MOST_MARKS = 16;
const SEPARATOR = ':';
const ONE_MARK = /^([0-9a-f]{32})\.([1-9][0-9]{0,9})$/;

/** One for all copies of the package in this thread: their instances must not get the same numbers. */
const STATE = Symbol.for('mcp-server-pool.mark/1');

interface State {
  readonly text: string;
  instances: number;
}

/** The mark of this host process. A worker thread has one of its own. */
export function hostMark(): HostMark {
  const mark = parseHostMark(state().text);
  if (mark === undefined) throw new Error('the mark of this host was overwritten');
  return mark;
}

/** A mark for the next instance of this host. */
export function nextInstanceMark(): InstanceMark {
  const shared = state();
  shared.instances = (shared.instances % LARGEST) + 1;
  return { host: hostMark(), instance: shared.instances };
}

function state(): State {
  const shared = globalThis as { [STATE]?: State };
  shared[STATE] ??= { text: newHostMark().text, instances: 0 };
  return shared[STATE];
}

/** A new mark. Two in 2³¹ share the number by chance, none the text. */
export function newHostMark(random: (size: number) => Buffer = randomBytes): HostMark {
  for (;;) {
    const mark = parseHostMark(random(16).toString('hex'));
    if (mark !== undefined) return mark;
  }
}

/** Reads `text` of a mark back, from a command line or a file. Undefined for anything that was never one. */
export function parseHostMark(text: string): HostMark | undefined {
  if (!/^[0-9a-f]{32}$/.test(text)) return undefined;
  const number = Number.parseInt(text.slice(0, 8), 16) & LARGEST;
  return number === 0 ? undefined : { text, number };
}

/** The value of the variable: the marks that this host itself bears, outermost first, then that of the instance. */
export function environmentValue({ host, instance }: InstanceMark, outer = process.env[MARK_VARIABLE]): string {
  // The outermost stay when there are too many: their pools end everything that is further in as well.
  const marks = splitMarks(outer ?? '').slice(0, MOST_MARKS - 1);
  return [...marks, `${host.text}.${instance}`].join(SEPARATOR);
}

/** The hosts that are named in `marks` up to the one that is looked for, and those further in. Empty when it is not there. */
export function hostsAround(marks: readonly string[], mark: Mark): { outer: HostMark[]; inner: HostMark[] } {
  const at = marks.findIndex((one) => environmentMatches([one], mark));
  const hosts = marks.map((one) => parseHostMark(one.slice(0, 32)));
  const known = (some: typeof hosts) => some.filter((host) => host !== undefined);
  return at === -1
    ? { outer: [], inner: [] }
    : { outer: known(hosts.slice(0, at + 1)), inner: known(hosts.slice(at + 1)) };
}

/** The hosts in whose servers this host runs itself, outermost first. */
export function outerHosts(outer = process.env[MARK_VARIABLE]): HostMark[] {
  const hosts = splitMarks(outer ?? '').map((one) => parseHostMark(one.slice(0, 32)));
  return hosts.filter((host) => host !== undefined);
}

/** What is no mark is left out: it was never ours, and must match nothing. */
function splitMarks(value: string): string[] {
  return value.split(SEPARATOR).filter((part) => ONE_MARK.test(part));
}

const ASSIGNMENT = Buffer.from(`${MARK_VARIABLE}=`);

/** The marks in an environment as /proc/PID/environ shows it: `NAME=value`, each ended by NUL. */
export function marksIn(environ: Buffer): string[] {
  const marks: string[] = [];
  for (let at = environ.indexOf(ASSIGNMENT); at !== -1; at = environ.indexOf(ASSIGNMENT, at + 1)) {
    // In the midst of a value, or of another name, it is text of somebody else's.
    if (at > 0 && environ[at - 1] !== 0) continue;
    const end = environ.indexOf(0, at);
    const value = environ.toString('latin1', at + ASSIGNMENT.length, end === -1 ? environ.length : end);
    marks.push(...splitMarks(value));
  }
  return marks;
}

/** Whether one of `marks`, as `marksIn` found them, is the one that is looked for. */
export function environmentMatches(marks: readonly string[], { host, instance }: Mark): boolean {
  return marks.some((mark) => {
    const [, text, number] = ONE_MARK.exec(mark) ?? [];
    return text === host.text && (instance === undefined || number === String(instance));
  });
}

/**
 * The limit of file locks that marks an instance: 62 bits, those of the host first. RLIMIT_LOCKS means nothing to kernels
 * since 2.6, is inherited by every fork and exec, and can be read of every process.
 */
export function rlimitValue({ host, instance }: InstanceMark): bigint {
  return (BigInt(host.number) << 31n) | BigInt(instance);
}

const LIMIT_LINE = 'Max file locks';

/** The soft limit of file locks in the text of /proc/PID/limits; undefined when it can be no marker of anybody's. */
export function rlimitIn(limits: string): bigint | undefined {
  const at = limits.indexOf(LIMIT_LINE);
  if (at === -1) return undefined;
  // Digits, blanks, the hard limit. `unlimited` has no digits.
  const [digits] = /^[0-9]{10,19}(?= )/.exec(limits.slice(at + LIMIT_LINE.length).trimStart()) ?? [];
  if (digits === undefined) return undefined;
  const value = BigInt(digits);
  return isRlimitMarker(value) ? value : undefined;
}

/** Both parts have to be there: a small limit that somebody set has no host part. */
function isRlimitMarker(value: bigint): boolean {
  return value >> 31n !== 0n && value >> 62n === 0n && (value & BigInt(LARGEST)) !== 0n;
}

/** The number of the host in a limit, as `rlimitIn` found it. */
export function hostNumberIn(value: bigint): number {
  return Number(value >> 31n);
}

/** Whether a limit, as `rlimitIn` found it, is the marker that is looked for. */
export function rlimitMatches(value: bigint, { host, instance }: Mark): boolean {
  if (!isRlimitMarker(value) || hostNumberIn(value) !== host.number) return false;
  return instance === undefined || (value & BigInt(LARGEST)) === BigInt(instance);
}
