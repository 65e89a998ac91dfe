import { isPlainObject } from '../../config/fields.js';
import { snapshot } from '../../config/snapshot.js';
import { type EndStraysOptions, resolveEndStrays } from '../../config/stray-options.js';
import { PoolError } from '../../errors.js';
import { timerDelay } from '../../runtime/clock.js';
import { KeepAlive } from '../../runtime/keep-alive.js';
import type { ProcessRow } from '../process-table.js';
import { localSystem, type Stray } from './find-strays.js';
import { StrayScan, type StraySystem } from './stray-scan.js';

/** What became of one stray. */
export interface StrayEnd {
  readonly pid: number;
  readonly startTime: number;
  readonly command: string;
  /**
   * `ended`: by `signal`. `gone`: it was dead before any signal. `changed`: it is no stray any more, or another process
   * has its pid; from then on no signal was sent. `survived`: it still lives after SIGKILL.
   */
  readonly outcome: 'ended' | 'gone' | 'changed' | 'survived';
  /** The last signal that was sent to it; undefined if none was. */
  readonly signal: 'SIGTERM' | 'SIGKILL' | undefined;
  /** False for a process below a stray that was not in the list and was ended with it. */
  readonly listed: boolean;
}

type Signal = 'SIGTERM' | 'SIGKILL';

interface Entry {
  readonly pid: number;
  readonly startTime: number;
  readonly command: string;
  readonly listed: boolean;
  signal: Signal | undefined;
  outcome: StrayEnd['outcome'] | undefined;
}

/** How long SIGKILL may take, ms: a process in an uninterruptible system call dies when that returns, or never. */
const KILL_GRACE = 2_000;
const FIRST_POLL = 5;
const LONGEST_POLL = 100;

/**
 * Ends strays that `findStrays()` has listed: SIGTERM, `termGrace`, SIGKILL, proof. Right before each signal it checks
 * that the process is the same (pid and start time), belongs to the same user, and is still a stray; if not, it is left
 * alone (`changed`). Signals go to single processes, never to groups.
 *
 * Processes below a listed stray are ended with it, also those that it forks meanwhile, because they would be the next
 * strays. (A process that is forked and loses its parent between two scans is missed; the next `findStrays()` shows
 * it.)
 *
 * Resolves after `termGrace` and some seconds at the latest, and keeps the host alive until then.
 *
 * @param strays entries of `findStrays()`, all or some; they may have been stored as JSON
 * @returns one report for each entry, then one for each process below that was added
 * @throws PoolError `INVALID_OPTIONS`, `NOT_SUPPORTED`; and the error when the process table cannot be read (EMFILE)
 */
export async function endStrays(strays: readonly Stray[], options: EndStraysOptions = {}): Promise<StrayEnd[]> {
  return endStraysOf(await localSystem('endStrays()'), strays, options);
}

/** The same on any system, for tests. */
export function endStraysOf(
  system: StraySystem,
  strays: readonly Stray[],
  options: EndStraysOptions = {},
): Promise<StrayEnd[]> {
  const { termGrace } = resolveEndStrays(options);
  const ending = new Ending(system, entriesOf(strays));
  const hold = new KeepAlive();
  const end = hold.during(ending.run(termGrace));
  hold.dispose();
  return end;
}

class Ending {
  readonly #system: StraySystem;
  /** Key: pid and start time. */
  readonly #entries: Map<string, Entry>;

  constructor(system: StraySystem, entries: readonly Entry[]) {
    this.#system = system;
    this.#entries = new Map(entries.map((entry) => [keyOf(entry), entry]));
  }

  async run(termGrace: number): Promise<StrayEnd[]> {
    await this.#climb('SIGTERM', termGrace);
    await this.#climb('SIGKILL', KILL_GRACE);
    return [...this.#entries.values()].map(({ outcome = 'survived', ...entry }) => ({ ...entry, outcome }));
  }

  /**
   * Sends the signal to all open entries, and to those that are added meanwhile, until none is open or the time is up.
   */
  async #climb(signal: Signal, grace: number): Promise<void> {
    const end = performance.now() + grace;
    for (let pause = FIRST_POLL; ; pause = Math.min(pause * 2, LONGEST_POLL)) {
      const scan = new StrayScan(this.#system);
      this.#settle(scan);
      this.#addBelow(scan);
      if (this.#open().length === 0) return;
      for (const entry of this.#open()) if (entry.signal !== signal) this.#send(entry, signal);
      const left = end - performance.now();
      if (left <= 0) return;
      await rest(Math.min(pause, left));
    }
  }

  #open(): Entry[] {
    return [...this.#entries.values()].filter(({ outcome }) => outcome === undefined);
  }

  /** Sets the outcome of entries that are dead, or no strays any more. */
  #settle(scan: StrayScan): void {
    for (const entry of this.#open()) {
      const row = scan.rows.get(entry.pid);
      const isSame = row?.startTime === entry.startTime;
      if (isSame && !row.dead) entry.outcome = this.#isStillStray(entry, row, scan) ? undefined : 'changed';
      else if (entry.signal !== undefined) entry.outcome = 'ended';
      else entry.outcome = row === undefined || isSame ? 'gone' : 'changed';
    }
  }

  #isStillStray({ signal }: Entry, row: ProcessRow, scan: StrayScan): boolean {
    // It was a stray before the first signal. That signal may have ended its parent, and with it the reason why it was
    // a stray. Then its parent is another entry, or a process that has adopted it.
    const parent = signal && scan.rows.get(row.parent);
    const wasOne = parent && (this.#entries.has(keyOf(parent)) || scan.adoption(row) !== undefined);
    return wasOne ? scan.isCandidate(row) : scan.isStray(row);
  }

  #addBelow(scan: StrayScan): void {
    for (const { pid } of this.#open()) {
      const row = scan.rows.get(pid);
      for (const child of row === undefined ? [] : scan.below(row)) {
        if (this.#entries.has(keyOf(child))) continue;
        const { pid, startTime, command } = child;
        const entry = { pid, startTime, command, listed: false, signal: undefined, outcome: undefined };
        this.#entries.set(keyOf(child), entry);
      }
    }
  }

  /** Checks the identity again immediately before, because the signals before this one have taken time. */
  #send(entry: Entry, signal: Signal): void {
    const row = this.#system.table.read(entry.pid);
    if (row?.startTime !== entry.startTime || row.dead) return;
    entry.signal = signal;
    this.#system.signal(entry.pid, signal);
  }
}

/** @throws PoolError `INVALID_OPTIONS` that names each entry which is not from `findStrays()` */
function entriesOf(given: unknown): Entry[] {
  const strays = snapshot(given, 'the list of strays');
  const list = Array.isArray(strays) ? (strays as unknown[]) : undefined;
  const problems = list
    ? list.flatMap((one, index) => (isEntry(one) ? [] : [`strays[${index}] must be an entry of findStrays()`]))
    : ['strays must be the list that findStrays() returned, or a part of it'];
  if (problems.length > 0) {
    throw new PoolError(
      'INVALID_OPTIONS',
      `endStrays() was refused:\n${problems.map((one) => `  - ${one}`).join('\n')}`,
      {
        problems,
      },
    );
  }
  return (list as Stray[]).map(({ pid, startTime, command }) => {
    return { pid, startTime, command, listed: true, signal: undefined, outcome: undefined };
  });
}

function isEntry(one: unknown): boolean {
  // What has a class is not copied, and may show another value at each read.
  if (!isPlainObject(one)) return false;
  const { pid, startTime, command, reasons } = one;
  const numbers = Number.isSafeInteger(pid) && (pid as number) > 1 && Number.isFinite(startTime);
  return numbers && typeof command === 'string' && Array.isArray(reasons);
}

function keyOf({ pid, startTime }: { readonly pid: number; readonly startTime: number }): string {
  return `${pid}@${startTime}`;
}

function rest(delay: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, timerDelay(delay)).unref());
}
