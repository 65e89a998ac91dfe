import { uptime } from 'node:os';
import { snapshot } from '../../config/snapshot.js';
import { type ResolvedWatch, resolveWatch, type WatchOptions } from '../../config/watch-options.js';
import { messageOf } from '../../errors.js';
import { type ListenerError, SafeEmitter } from '../../events.js';
import { type Clock, systemClock, type Timer } from '../../runtime/clock.js';
import { KeepAlive } from '../../runtime/keep-alive.js';
import { assertProc, localSystem } from './find-strays.js';
import { type Pattern, slowPattern } from './matching.js';
import type { StraySystem } from './stray-scan.js';
import { type Look, see } from './watch-look.js';
import { keyOf, type WatchedProcess, WatchRounds } from './watch-rounds.js';

/** What one look at the machine has shown. */
export interface WatchReport {
  /** When, ms since 1970. */
  readonly at: number;
  /** How many processes of this user match a pattern and belong to no living pool. */
  readonly matched: number;
  /** How many more match a pattern, and were not looked at: there were too many. */
  readonly omitted: number;
  /** Patterns that took too long at two looks, as the host wrote them. This watch does not use them any more. */
  readonly slow: readonly string[];
  /** Those over a limit. */
  readonly processes: readonly WatchedProcess[];
}

/** The events of `watchProcesses()` with the payload of each. */
export interface WatchEvents {
  /** A look is complete. */
  'look:taken': WatchReport;
  /** A process is over a limit, or for another reason than before. */
  'process:listed': WatchedProcess;
  /** A process of the list has ended, or is over no limit any more: its last entry. */
  'process:cleared': WatchedProcess & { readonly isGone: boolean };
  /** A look was not possible. Once, until one is possible again. */
  'look:failed': { readonly problem: string };
  /** A listener threw an error, or returned a promise that was rejected. */
  'listener:error': ListenerError;
}

export interface WatchDependencies {
  readonly clock: Clock;
  /** The machine, for each look. `hold`: whether the search keeps the host alive. */
  system(hold: boolean): Promise<StraySystem>;
  /** Ms since boot, as start times are. */
  uptime(): number;
}

/** Looks at the machine again and again, and reports which processes are over a limit. Made by `watchProcesses()`. */
export class ProcessWatch extends SafeEmitter<WatchEvents> {
  readonly #options: ResolvedWatch;
  readonly #dependencies: WatchDependencies;
  readonly #rounds: WatchRounds;
  readonly #keepAlive = new KeepAlive();
  /** Undefined: it was too slow twice. It would stop the host at each look. */
  readonly #patterns: (Pattern | undefined)[];
  /** Those that were too slow once: the machine may have slept just then. */
  readonly #slow = new Set<number>();
  /** What the newest look has seen and checked: identity → pattern. */
  #seen: ReadonlyMap<string, string> = new Map();
  #latest: WatchReport | undefined;
  #looking: Promise<WatchReport> | undefined;
  #timer: Timer | undefined;
  #isStopped = false;
  #isFailing = false;

  /** @throws PoolError `INVALID_OPTIONS` */
  constructor(options: WatchOptions, dependencies: WatchDependencies) {
    super();
    // The host may change its list of patterns later.
    this.#options = resolveWatch(snapshot(options, 'the options of watchProcesses()'));
    this.#patterns = [...this.#options.patterns];
    this.#dependencies = dependencies;
    this.#rounds = new WatchRounds(this.#options);
    // Not in this tick, so that the host can add its listeners first.
    this.#schedule(0);
  }

  /**
   * What the newest look has shown. Undefined before the first one, and after `stop()`: what nothing looks at any more is counted
   * by no monitor.
   */
  get latest(): WatchReport | undefined {
    return this.#latest;
  }

  /** Whether `stop()` was called. */
  get isStopped(): boolean {
    return this.#isStopped;
  }

  /**
   * Looks now, and keeps the host alive until that is done.
   * @returns the processes over a limit
   * @throws PoolError `INVALID_OPTIONS` when a pattern takes too long, twice for each, or none is left; and the error when
   * processes cannot be read (EMFILE)
   */
  async list(): Promise<readonly WatchedProcess[]> {
    const { processes } = await this.#keepAlive.during(this.#look(true));
    return processes;
  }

  /** No look and no event from now on, and nothing is `latest`; `list()` looks still. */
  stop(): void {
    this.#isStopped = true;
    this.#latest = undefined;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#keepAlive.dispose();
  }

  override toJSON(): object {
    return { latest: this.#latest };
  }

  #schedule(delay: number): void {
    if (this.#isStopped) return;
    this.#timer = this.#dependencies.clock.after(delay, () => {
      // The failure was reported as an event.
      void this.#look(false)
        .catch(() => {})
        .then(() => this.#schedule(this.#options.interval));
    });
  }

  /** Calls at the same time share a look. */
  #look(hold: boolean): Promise<WatchReport> {
    this.#looking ??= this.#takeLook(hold).finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async #takeLook(hold: boolean): Promise<WatchReport> {
    const { clock } = this.#dependencies;
    const before = this.#latest?.processes ?? [];
    let look: Look;
    try {
      look = await this.#see(hold);
    } catch (error) {
      const isNew = !this.#isFailing;
      this.#isFailing = true;
      if (isNew && !this.#isStopped) this.emit('look:failed', { problem: messageOf(error) });
      throw error;
    }
    this.#isFailing = false;
    const processes = this.#rounds.look(clock.now(), look.seen);
    const slow = this.#options.patterns.filter((_, number) => this.#patterns[number] === undefined).map(String);
    const report = { at: Date.now(), matched: look.seen.length, omitted: look.omitted, slow, processes };
    if (this.#isStopped) return report;
    this.#latest = report;
    this.#tell(before, processes, new Set(look.seen.map(keyOf)));
    this.emit('look:taken', report);
    return report;
  }

  async #see(hold: boolean): Promise<Look> {
    const { system, uptime } = this.#dependencies;
    const patterns = this.#patterns;
    if (patterns.every((pattern) => pattern === undefined)) throw slowPattern(0, ', and no pattern is left');
    const look = see(await system(hold), { patterns, uptime: uptime(), before: this.#seen });
    if (look.slow !== undefined) {
      const isFirst = !this.#slow.has(look.slow);
      this.#slow.add(look.slow);
      if (isFirst) throw slowPattern(look.slow);
      patterns[look.slow] = undefined;
      throw slowPattern(look.slow, ' a second time, and this watch does not use it any more');
    }
    this.#seen = new Map(
      look.seen.filter(({ checked }) => checked).map((process) => [keyOf(process), process.pattern]),
    );
    return look;
  }

  #tell(before: readonly WatchedProcess[], now: readonly WatchedProcess[], living: ReadonlySet<string>): void {
    const reasonsBefore = new Map(before.map((process) => [keyOf(process), `${process.reasons}`]));
    for (const process of now) {
      if (reasonsBefore.get(keyOf(process)) !== `${process.reasons}`) this.emit('process:listed', process);
    }
    const listed = new Set(now.map(keyOf));
    for (const process of before) {
      const key = keyOf(process);
      if (!listed.has(key)) this.emit('process:cleared', { ...process, isGone: !living.has(key) });
    }
  }
}

/**
 * Watches over processes that no pool has started: looks every `interval` ms which of those that match `patterns` are over a
 * limit, or stuck. It only reports; `endWatched()` ends entries of the list that the host has chosen.
 *
 * Never listed: this process, its ancestors, processes of other users or containers, zombies, kernel threads, guardians, and what
 * belongs to a living pool, of this host or of another one. A pool counts as living, too, when no ledger names its host. At
 * most 1,000 processes are measured.
 *
 * **Not recognized** is a server of another host that has no mark (`containment: 'group'`, or both `markers` off): nothing shows that
 * it belongs to a pool, so it is listed when it matches.
 *
 * What is in an uninterruptible system call (state D) is matched by its command line of an earlier look. When there is none, it is
 * matched by `command`, and listed only as `stuck`: to read its command line or its marks could stop the host.
 *
 * A look blocks the host for less than a tenth of a millisecond for each process of the machine, and about half a millisecond
 * for each that matches. Its timer does not keep the host alive. Linux only.
 *
 * @throws PoolError `INVALID_OPTIONS`; `NOT_SUPPORTED` where there is no /proc
 */
export function watchProcesses(options: WatchOptions = {}): ProcessWatch {
  assertProc('watchProcesses()');
  return new ProcessWatch(options, {
    clock: systemClock,
    system: (hold) => localSystem('watchProcesses()', hold),
    uptime: () => uptime() * 1_000,
  });
}
