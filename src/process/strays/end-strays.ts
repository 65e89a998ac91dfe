import { type EndStraysOptions, resolveEndStrays } from '../../config/stray-options.js';
import { PoolError } from '../../errors.js';
import { timerDelay } from '../../runtime/clock.js';
import { KeepAlive } from '../../runtime/keep-alive.js';
import type { ProcessRow } from '../process-table.js';
import { localSystem, type Stray } from './find-strays.js';
import { Look, type StraySystem } from './look.js';

/** What became of a stray. */
export interface StrayEnd {
  readonly pid: number;
  readonly startTime: number;
  readonly command: string;
  /**
   * `ended`: by `signal`. `gone`: it was dead before any signal. `changed`: it is no stray any more, or another process has
   * its pid; no signal was sent from then on. `survived`: it lives after all, after SIGKILL.
   */
  readonly outcome: 'ended' | 'gone' | 'changed' | 'survived';
  /** The last signal that it was sent, if any. */
  readonly signal: 'SIGTERM' | 'SIGKILL' | undefined;
  /** False for a process below a stray that was not in the list, and was ended with it. */
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
 * Ends strays that `findStrays()` has listed: SIGTERM, `termGrace`, SIGKILL, proof. Right before each signal it is looked at
 * again whether the process is the same (pid and start time), of the same user, and still a stray; if not, it is left alone
 * (`changed`). Signals go to single processes, never to groups.
 *
 * What is below a stray of the list goes with it, also what it forks meanwhile: it would become the next stray. (What is
 * forked and loses its parent between two looks is not taken in: the next `findStrays()` sees it.)
 *
 * Resolves after `termGrace` and some seconds at the latest, and holds the host open until then.
 *
 * @param strays entries of `findStrays()`, all or some; they may have gone through JSON
 * @returns one report for each entry, then those of what was taken in
 * @throws PoolError `INVALID_OPTIONS`, `NOT_SUPPORTED`; and the error when the process table cannot be read (EMFILE)
 */
export async function endStrays(strays: readonly Stray[], options: EndStraysOptions = {}): Promise<StrayEnd[]> {
  return endStraysOf(localSystem('endStrays()'), strays, options);
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
  /** By pid and start time. */
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

  /** Sends the signal to everybody who is left, and to those who come meanwhile, until nobody is or the time is up. */
  async #climb(signal: Signal, grace: number): Promise<void> {
    const end = performance.now() + grace;
    for (let pause = FIRST_POLL; ; pause = Math.min(pause * 2, LONGEST_POLL)) {
      const look = new Look(this.#system);
      this.#settle(look);
      this.#takeIn(look);
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

  /** Notes who is dead, and who is no stray any more. */
  #settle(look: Look): void {
    for (const entry of this.#open()) {
      const row = look.rows.get(entry.pid);
      const isSame = row?.startTime === entry.startTime;
      if (isSame && !row.dead) entry.outcome = this.#isStillStray(entry, row, look) ? undefined : 'changed';
      else if (entry.signal !== undefined) entry.outcome = 'ended';
      else entry.outcome = row === undefined || isSame ? 'gone' : 'changed';
    }
  }

  #isStillStray({ signal }: Entry, row: ProcessRow, look: Look): boolean {
    // It was one before the first signal. That may have ended its parent since, and with it what made it a stray: then
    // another of them is its parent, or whoever took it in.
    const parent = signal && look.rows.get(row.parent);
    const wasOne = parent && (this.#entries.has(keyOf(parent)) || look.adoption(row) !== undefined);
    return wasOne ? look.isCandidate(row) : look.isStray(row);
  }

  #takeIn(look: Look): void {
    for (const { pid } of this.#open()) {
      const row = look.rows.get(pid);
      for (const child of row === undefined ? [] : look.below(row)) {
        if (this.#entries.has(keyOf(child))) continue;
        const { pid, startTime, command } = child;
        const entry = { pid, startTime, command, listed: false, signal: undefined, outcome: undefined };
        this.#entries.set(keyOf(child), entry);
      }
    }
  }

  /** Identity once more, immediately before: the signals before this one have taken time. */
  #send(entry: Entry, signal: Signal): void {
    const row = this.#system.table.read(entry.pid);
    if (row?.startTime !== entry.startTime || row.dead) return;
    entry.signal = signal;
    this.#system.signal(entry.pid, signal);
  }
}

/** @throws PoolError `INVALID_OPTIONS` that names every entry which is none of `findStrays()` */
function entriesOf(strays: unknown): Entry[] {
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

function isEntry(one: unknown): one is Stray {
  if (typeof one !== 'object' || one === null) return false;
  const { pid, startTime, command, reasons } = one as Partial<Record<keyof Stray, unknown>>;
  const numbers = Number.isSafeInteger(pid) && (pid as number) > 1 && Number.isSafeInteger(startTime);
  return numbers && typeof command === 'string' && Array.isArray(reasons);
}

function keyOf({ pid, startTime }: { readonly pid: number; readonly startTime: number }): string {
  return `${pid}@${startTime}`;
}

function rest(delay: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, timerDelay(delay)).unref());
}
