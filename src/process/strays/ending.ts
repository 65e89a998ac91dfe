import { isPlainObject } from '../../config/fields.js';
import { snapshot } from '../../config/snapshot.js';
import { PoolError } from '../../errors.js';
import { KeepAlive } from '../../runtime/keep-alive.js';
import { rest } from '../../runtime/rest.js';
import { holdSame, type ProcessIdentity, type ProcessRow } from '../process-table.js';
import { StrayScan, type StraySystem } from './stray-scan.js';
import { keyOf, type WatchedProcess } from './watch-rounds.js';

/** What became of one process. */
export interface ProcessEnd {
  readonly pid: number;
  readonly startTime: number;
  readonly command: string;
  /**
   * `ended`: by `signal`. `gone`: it was dead before any signal. `changed`: what made it an entry of the list does not hold
   * any more, or another process has its pid; from then on no signal was sent. `survived`: it still lives after SIGKILL, or, with
   * `signal` undefined, it could not be checked: it or a process above it was in an uninterruptible system call (state D).
   */
  readonly outcome: 'ended' | 'gone' | 'changed' | 'survived';
  /** The last signal that was sent to it; undefined if none was. */
  readonly signal: 'SIGTERM' | 'SIGKILL' | undefined;
  /** False for a process below an entry that was not in the list and was ended with it. */
  readonly listed: boolean;
}

/** Which processes may get a signal. Asked right before each signal, with a new scan. */
export interface EndRule {
  /** @param ending whether it had a signal already, and whether its parent is another process that is being ended */
  mayEnd(
    row: ProcessRow,
    scan: StrayScan,
    ending: { readonly isSignalled: boolean; readonly hasParent: boolean },
  ): boolean;
  /** What ends with it. */
  below(row: ProcessRow, scan: StrayScan): ProcessRow[];
}

/** The two calls, for errors: that which ends, and that which lists. */
export interface EndCalls {
  readonly end: string;
  readonly list: string;
  /** The parameter. */
  readonly name: string;
}

type Signal = 'SIGTERM' | 'SIGKILL';

interface Entry {
  readonly pid: number;
  readonly startTime: number;
  readonly command: string;
  readonly listed: boolean;
  /** Whether the call that lists, or a scan of this one, has read all that shows whether it may be ended. */
  isChecked: boolean;
  signal: Signal | undefined;
  outcome: ProcessEnd['outcome'] | undefined;
}

/** How long SIGKILL may take, ms: a process in an uninterruptible system call dies when that returns, or never. */
const KILL_GRACE = 2_000;
const FIRST_POLL = 5;
const LONGEST_POLL = 100;
/**
 * How long no scan follows another one, ms for each process that is to be checked, and for each of the machine: ten times as long
 * as a scan blocks the host.
 */
const [PER_ENTRY, PER_ROW] = [2, 0.1];

/**
 * Ends the processes of a list, and what is below them: SIGTERM, `termGrace`, SIGKILL, proof. Signals go to single processes,
 * never to groups.
 * @throws PoolError `INVALID_OPTIONS` that names each entry which is not from the call that lists
 */
export async function endListed(
  given: unknown,
  calls: EndCalls,
  rule: EndRule,
  termGrace: number,
  system: StraySystem,
): Promise<ProcessEnd[]> {
  const entries = entriesOf(given, calls, system.scope);
  const hold = new KeepAlive();
  const end = hold.during(new Ending(system, entries, rule).run(termGrace));
  hold.dispose();
  return end;
}

class Ending {
  readonly #system: StraySystem;
  readonly #rule: EndRule;
  /** Key: pid and start time. */
  readonly #entries = new Map<string, Entry>();
  readonly #held: ProcessIdentity[] = [];

  constructor(system: StraySystem, entries: readonly Entry[], rule: EndRule) {
    this.#system = system;
    this.#rule = rule;
    for (const entry of entries) this.#entries.set(keyOf(entry), entry);
  }

  async run(termGrace: number): Promise<ProcessEnd[]> {
    try {
      for (const entry of this.#entries.values()) this.#hold(entry);
      await this.#climb('SIGTERM', termGrace);
      await this.#climb('SIGKILL', KILL_GRACE);
    } finally {
      for (const identity of this.#held) this.#system.table.release?.(identity);
    }
    return [...this.#entries.values()].map(({ pid, startTime, command, outcome = 'survived', signal, listed }) => {
      return { pid, startTime, command, outcome, signal, listed };
    });
  }

  /**
   * Sends the signal to all open entries, and to those that are added meanwhile, until none is open or the time is up.
   */
  async #climb(signal: Signal, grace: number): Promise<void> {
    const end = performance.now() + grace;
    let nextScan = Number.NEGATIVE_INFINITY;
    for (let pause = FIRST_POLL; ; pause = Math.min(pause * 2, LONGEST_POLL)) {
      this.#settleDead();
      if (performance.now() >= nextScan && this.#open().length > 0) {
        const { rows } = this.#scanAndSend(signal);
        nextScan = performance.now() + this.#open().length * PER_ENTRY + rows.size * PER_ROW;
      }
      if (this.#open().length === 0) return;
      const left = end - performance.now();
      if (left <= 0) return;
      await rest(Math.min(pause, left));
    }
  }

  #scanAndSend(signal: Signal): StrayScan {
    const scan = new StrayScan(this.#system);
    this.#settle(scan);
    this.#addBelow(scan);
    for (const entry of this.#open()) if (entry.isChecked && entry.signal !== signal) this.#send(entry, signal);
    return scan;
  }

  #open(): Entry[] {
    return [...this.#entries.values()].filter(({ outcome }) => outcome === undefined);
  }

  /** Sets the outcome of entries that are dead. Reads them alone, so that it can be done often. */
  #settleDead(): void {
    for (const entry of this.#open()) entry.outcome = endOf(entry, this.#system.table.read(entry.pid));
  }

  /** Sets the outcome of entries that are dead, or may not be ended any more. */
  #settle(scan: StrayScan): void {
    for (const entry of this.#open()) {
      const row = scan.rows.get(entry.pid);
      entry.outcome = endOf(entry, row);
      if (entry.outcome !== undefined || row === undefined) continue;
      // Whether it may be ended cannot be read now. What was read before holds until it can.
      const isHidden = scan.isHidden(row) && scan.isCandidate(row) && !scan.isRegistered(row);
      if (!isSameProgram(entry, row) || !(isHidden || this.#mayEnd(entry, row, scan))) entry.outcome = 'changed';
      else if (!isHidden) entry.isChecked = true;
    }
  }

  #mayEnd({ signal }: Entry, row: ProcessRow, scan: StrayScan): boolean {
    const parent = scan.rows.get(row.parent);
    const hasParent = parent !== undefined && this.#entries.has(keyOf(parent));
    return this.#rule.mayEnd(row, scan, { isSignalled: signal !== undefined, hasParent });
  }

  #addBelow(scan: StrayScan): void {
    for (const { pid } of this.#open()) {
      const row = scan.rows.get(pid);
      for (const child of row === undefined ? [] : this.#rule.below(row, scan)) {
        if (this.#entries.has(keyOf(child))) continue;
        const { pid, startTime, command } = child;
        const isChecked = !scan.isHidden(child);
        const entry = { pid, startTime, command, listed: false, isChecked, signal: undefined, outcome: undefined };
        this.#entries.set(keyOf(child), entry);
        this.#hold(entry);
      }
    }
  }

  /** From now on no other process is taken for it, also if that gets its pid within the same tick. */
  #hold({ pid, startTime }: ProcessIdentity): void {
    if (holdSame(this.#system.table, { pid, startTime }) !== undefined) this.#held.push({ pid, startTime });
  }

  /** Checks the identity again immediately before, because the signals before this one have taken time. */
  #send(entry: Entry, signal: Signal): void {
    const row = this.#system.table.read(entry.pid);
    if (row?.startTime !== entry.startTime || row.dead) return;
    entry.signal = signal;
    this.#system.signal(entry.pid, signal);
  }
}

function entriesOf(given: unknown, { end, list, name }: EndCalls, scope: string): Entry[] {
  const entries = snapshot(given, `the list of ${name}`);
  const all = Array.isArray(entries) ? (entries as unknown[]) : undefined;
  const problems = all
    ? all.flatMap((one, index) => (isEntry(one) ? [] : [`${name}[${index}] must be an entry of ${list}`]))
    : [`${name} must be the list that ${list} returned, or a part of it`];
  if (problems.length > 0) {
    const lines = problems.map((one) => `  - ${one}`).join('\n');
    throw new PoolError('INVALID_OPTIONS', `${end} was refused:\n${lines}`, { problems });
  }
  return (all as (Entry & Partial<Pick<WatchedProcess, 'scope' | 'checked'>>)[]).map((one) => {
    const { pid, startTime, command, scope: its = scope, checked: isChecked = true } = one;
    // The same numbers would be those of another process.
    const outcome = its === scope || scope === '' ? undefined : 'changed';
    return { pid, startTime, command, listed: true, isChecked, signal: undefined, outcome };
  });
}

function isEntry(one: unknown): boolean {
  // What has a class is not copied, and may show another value at each read.
  if (!isPlainObject(one)) return false;
  const { pid, startTime, command, reasons, scope = '', checked = true } = one;
  const numbers = Number.isSafeInteger(pid) && (pid as number) > 1 && Number.isFinite(startTime);
  return (
    numbers &&
    typeof command === 'string' &&
    typeof scope === 'string' &&
    typeof checked === 'boolean' &&
    Array.isArray(reasons)
  );
}

/** The pid and start time are the same after an exec. A signal may change the title that a process has. */
function isSameProgram({ listed, signal, command }: Entry, row: ProcessRow): boolean {
  return !listed || signal !== undefined || row.command === command;
}

/** What became of a process that does not live any more; undefined when it does. */
function endOf(entry: Entry, row: ProcessRow | undefined): ProcessEnd['outcome'] | undefined {
  const isSame = row?.startTime === entry.startTime;
  if (isSame && !row.dead) return undefined;
  if (entry.signal !== undefined) return 'ended';
  return row === undefined || isSame ? 'gone' : 'changed';
}
