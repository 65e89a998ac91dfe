import { availableParallelism } from 'node:os';
import { basename, sep } from 'node:path';
import { errnoOf, messageOf, PoolError } from '../errors.js';
import type { EndMode } from '../process/termination-report.js';
import { BoundedMap } from '../runtime/bounded-map.js';
import type { Clock } from '../runtime/clock.js';
import { Flight } from './flight.js';
import { machineTurn } from './machine-turn.js';
import { askNpm, isCurrent, NoAnswer } from './npm-question.js';
import type { NpmSurroundings } from './npm-run.js';
import { planOf } from './npx-plan.js';
import type { PackageRecord } from './package-record.js';
import { type Asked, type PackageRequest, packageRequest } from './package-request.js';
import { type PackageStart, startOf } from './package-start.js';
import { RunTurns } from './run-turns.js';

/** Why a server is started as its command is written. */
export type FallbackReason =
  /** The command line asks for something that only npx can do. */
  | 'not-understood'
  /** This system, or the launcher of the host. */
  | 'not-supported'
  /** The cache of npm cannot be used. */
  | 'no-cache'
  /** npm has failed, or has not said what it would run. */
  | 'npm-failed';

export interface Fallback {
  readonly reason: FallbackReason;
  /** A sentence. Has no secrets. */
  readonly why: string;
}

/** What is known of a command line. Undefined: it is none of npx. `request`: npm must be asked first. */
export type Look =
  | undefined
  | { readonly fallback: Fallback }
  | { readonly start: PackageStart }
  | { readonly request: PackageRequest };

/** What a resolver tells. None of these may throw. */
export interface PackageNews {
  /** npm is run for a package that no server was started from. */
  onResolving(request: PackageRequest): void;
  /** @param duration ms, @param before the version until now */
  onResolved(request: PackageRequest, record: PackageRecord, duration: number, before: string | undefined): void;
  /** npm could not look for a newer version. */
  onCheckFailed(request: PackageRequest, record: PackageRecord, why: string): void;
}

/** For how long after npm has failed it is not asked the same again, ms. */
const RETRY_PAUSE = 60_000;
/** The same for a check of a version that is in use. */
const CHECK_PAUSE = 600_000;
/** Longest check, ms: no start waits for it. */
const LONGEST_CHECK = 300_000;
/** How many failures are remembered. */
const MOST_FAILURES = 1_000;
/** Most runs of npm at a time: they compete for the network and the processors. */
const MOST_RUNS = Math.max(2, Math.min(4, availableParallelism()));

/** Finds out what npx would start. npm is asked once for all that ask the same; its answer is kept in the cache of npm. */
export class PackageResolver {
  readonly #surroundings: NpmSurroundings;
  readonly #clock: Clock;
  readonly #news: PackageNews;
  readonly #flights = new Map<string, Flight<PackageRecord>>();
  readonly #turns = new RunTurns(MOST_RUNS);
  readonly #failures = new BoundedMap<{ readonly until: number; readonly fallback: Fallback }>(MOST_FAILURES);
  readonly #unsupported: string | undefined;
  readonly #hurry = new AbortController();
  #stopped: unknown;

  /** @param unsupported why nothing can be resolved; undefined when it can */
  constructor(
    surroundings: Omit<NpmSurroundings, 'hurry'>,
    clock: Clock,
    news: PackageNews,
    unsupported: string | undefined,
  ) {
    this.#surroundings = { ...surroundings, hurry: this.#hurry.signal };
    this.#clock = clock;
    this.#news = news;
    this.#unsupported = unsupported;
  }

  /**
   * What is known of a command line now. Has npm look for a newer version when `refreshAfter` (ms) is over.
   * @throws PoolError when its command or working directory is not there
   */
  look(asked: Asked, refreshAfter: number): Look {
    const planned = planOf(asked.command, asked.args);
    if (planned === undefined) return undefined;
    if ('refused' in planned)
      return { fallback: { reason: 'not-understood', why: `its command line ${planned.refused}` } };
    if (this.#unsupported !== undefined) return { fallback: { reason: 'not-supported', why: this.#unsupported } };
    const request = packageRequest(asked, planned.plan);
    const record = request.folder.read();
    const start = record && startOf(request, record);
    if (record && start) {
      if (isStale(request, record, refreshAfter)) this.#check(request, record);
      return { start };
    }
    const failure = this.#failures.get(request.key);
    return failure && failure.until > this.#clock.now() ? { fallback: failure.fallback } : { request };
  }

  /**
   * Asks npm, or joins those that wait for the same answer.
   * @param signal ends the wait, and npm when nobody else waits
   * @throws the reason of the signal
   */
  async resolve(request: PackageRequest, signal: AbortSignal): Promise<PackageStart | Fallback> {
    try {
      const record = await this.#flight(request, (aborted) => this.#install(request, aborted)).join(signal);
      const start = startOf(request, record);
      if (start) return start;
      throw new NoAnswer('what npm has installed is gone');
    } catch (error) {
      signal.throwIfAborted();
      const fallback = fallbackOf(error);
      if (this.#stopped === undefined)
        this.#failures.set(request.key, { until: this.#clock.now() + RETRY_PAUSE, fallback });
      return fallback;
    }
  }

  /** Ends what is under way. Resolves when no npm is left. Nothing is begun any more. */
  async stop(reason: unknown, mode: EndMode): Promise<void> {
    this.#stopped ??= reason;
    if (mode === 'emergency') this.#hurry.abort();
    const flights = [...this.#flights.values()];
    for (const flight of flights) flight.giveUp(reason);
    await Promise.all(flights.map(({ over }) => over));
  }

  #flight(request: PackageRequest, work: (signal: AbortSignal) => Promise<PackageRecord>): Flight<PackageRecord> {
    const known = this.#flights.get(request.key);
    if (known !== undefined && !known.isGivenUp) return known;
    // One that was given up has a npm that is being ended.
    const flight = new Flight(async (signal) => {
      await known?.over;
      return work(signal);
    });
    this.#flights.set(request.key, flight);
    void flight.over.then(() => {
      if (this.#flights.get(request.key) === flight) this.#flights.delete(request.key);
    });
    if (this.#stopped !== undefined) flight.giveUp(this.#stopped);
    return flight;
  }

  /** In its turn, which no other process of this user has at the same time. */
  async #inTurn<T>(request: PackageRequest, signal: AbortSignal, task: () => Promise<T>): Promise<T> {
    const leave = await machineTurn(request.key, this.#clock, signal);
    try {
      // Not before: who has a turn here would wait for another process, which may wait for this one.
      const done = await this.#turns.take(signal);
      try {
        return await task();
      } finally {
        done();
      }
    } finally {
      leave();
    }
  }

  #install(request: PackageRequest, signal: AbortSignal): Promise<PackageRecord> {
    return this.#inTurn(request, signal, async () => {
      // Another process has asked the same meanwhile.
      const known = request.folder.read();
      if (known) return known;
      this.#news.onResolving(request);
      return this.#ask(request, undefined, signal);
    });
  }

  /** In the background: what was started with the old version keeps it. */
  #check(request: PackageRequest, record: PackageRecord): void {
    const { key } = request;
    if (this.#flights.has(key) || this.#stopped !== undefined) return;
    if ((this.#failures.get(key)?.until ?? -Infinity) > this.#clock.now()) return;
    const timeout = new AbortController();
    const timer = this.#clock.after(LONGEST_CHECK, () => timeout.abort(new Error(`no answer in ${LONGEST_CHECK} ms`)));
    const flight = this.#flight(request, (signal) => this.#refresh(request, record, signal));
    void flight
      .join(timeout.signal)
      .catch((error: unknown) => {
        if (this.#stopped !== undefined) return;
        const fallback = fallbackOf(error);
        this.#failures.set(key, { until: this.#clock.now() + CHECK_PAUSE, fallback });
        this.#news.onCheckFailed(request, record, fallback.why);
      })
      .finally(() => timer.cancel());
  }

  #refresh(request: PackageRequest, old: PackageRecord, signal: AbortSignal): Promise<PackageRecord> {
    return this.#inTurn(request, signal, async () => {
      const { folder } = request;
      const now = folder.read();
      // Another process has checked it meanwhile.
      if (now && now.checkedAt !== old.checkedAt) return now;
      const cache = folder.folderOf(old);
      const isSame = cache !== undefined && (await isCurrent(request, cache, this.#surroundings, signal));
      const record = isSame ? { ...old, checkedAt: Date.now() } : await this.#ask(request, old, signal);
      if (isSame) folder.write(record);
      await folder.prune(record);
      return record;
    });
  }

  /** Installs it in a folder of its own. */
  async #ask(request: PackageRequest, before: PackageRecord | undefined, signal: AbortSignal): Promise<PackageRecord> {
    const started = this.#clock.now();
    const { folder: cache, release } = makeFolder(request);
    let isKept = false;
    try {
      const answer = await askNpm(request, cache, this.#surroundings, signal);
      const installed = answer.program.startsWith(cache + sep) ? basename(cache) : undefined;
      const found = { ...answer, installed, checkedAt: Date.now() };
      const record = before && isUnchanged(request, before, found) ? { ...before, checkedAt: found.checkedAt } : found;
      request.folder.write(record, before);
      isKept = record.installed === basename(cache);
      if (record === found && (found.program !== before?.program || found.version !== before.version))
        this.#news.onResolved(request, record, Math.round(this.#clock.now() - started), before?.version);
      return record;
    } finally {
      release();
      if (!isKept) await request.folder.discard(cache);
    }
  }
}

function makeFolder({ folder }: PackageRequest) {
  try {
    return folder.create();
  } catch (error) {
    throw new NoFolder(`the cache of npm cannot be used: ${messageOf(error)}`);
  }
}

/** There is nowhere to keep what npm finds. */
class NoFolder extends Error {}

function fallbackOf(error: unknown): Fallback {
  if (error instanceof NoFolder) return { reason: 'no-cache', why: error.message };
  if (error instanceof NoAnswer) return { reason: 'npm-failed', why: error.message };
  // The message of another error may have a command line, or what npm has written.
  const code = error instanceof PoolError ? error.code : errnoOf(error);
  return { reason: 'npm-failed', why: `npm could not be asked${code === undefined ? '' : ` (${code})`}` };
}

function isStale({ plan }: PackageRequest, { checkedAt }: PackageRecord, refreshAfter: number): boolean {
  if (plan.packages.every(({ isPinned }) => isPinned)) return false;
  const age = Date.now() - checkedAt;
  // The clock of the wall may have been set.
  return age < 0 || age >= refreshAfter;
}

/** Whether a new installation has what the old one has: then the old one stays, since servers run from it. */
function isUnchanged({ plan }: PackageRequest, before: PackageRecord, found: PackageRecord): boolean {
  const [only, ...more] = plan.packages;
  // The version of a git branch says nothing.
  const isNamed = more.length === 0 && only.kind === 'registry';
  return isNamed && before.name === found.name && before.version === found.version && before.installed !== undefined;
}
