import { errnoOf } from '../../errors.js';
import { type Clock, systemClock, type Timer } from '../../runtime/clock.js';
import { type Deferred, deferred } from '../../runtime/deferred.js';

/** How long pidusage may take, ms: it starts a tool of the system, and never gives up by itself. */
const TIMEOUT = 10_000;

/** The numbers of pidusage that are used here. */
export interface PidStatus {
  /** Resident, bytes. */
  readonly memory: number;
  /** CPU time since its start, ms. */
  readonly ctime: number;
  /** Since its start, ms, by the clock of the system. NaN where the tool does not show it. */
  readonly elapsed: number;
}

/** As pidusage, for a list. What it returns for a process that is gone differs: an error, nothing, or undefined. */
export type PidUsage = (
  pids: number[],
  options: { readonly usePs: boolean },
) => Promise<Readonly<Record<number, PidStatus | undefined>>>;

type Answer = ReadonlyMap<number, PidStatus>;

interface Batch {
  readonly pids: Set<number>;
  readonly answer: Deferred<Answer>;
}

/**
 * Asks pidusage, one call at a time: it leaks descriptors when its first calls overlap. All that is asked meanwhile is one
 * further call, so that a host with many trees starts one tool for all of them. Each call gets an array of its own, which
 * pidusage changes.
 */
export class PidusageGuard {
  readonly #load: () => Promise<PidUsage>;
  readonly #clock: Clock;
  /** What waits for the call that runs. */
  #next: Batch | undefined;
  #isBusy = false;
  /** Since when a call does not answer. */
  #hangs = false;

  /** @param load called for each call; makes the module load only where it is used */
  constructor(load: () => Promise<PidUsage> = loadPidusage, clock: Clock = systemClock) {
    this.#load = load;
    this.#clock = clock;
  }

  /**
   * What those processes use; one that is gone is left out.
   * @throws (rejects) when the tool fails, or has not answered for ten seconds
   */
  read(pids: readonly number[]): Promise<Answer> {
    if (pids.length === 0) return Promise.resolve(new Map());
    if (this.#hangs) return Promise.reject(timeout());
    this.#next ??= { pids: new Set(), answer: deferred() };
    for (const pid of pids) this.#next.pids.add(pid);
    const { answer } = this.#next;
    // In the next microtask, so that all trees that are asked in this tick are in one call.
    if (!this.#isBusy) {
      this.#isBusy = true;
      queueMicrotask(() => void this.#run());
    }
    return answer.promise;
  }

  async #run(): Promise<void> {
    for (let batch = this.#take(); batch; batch = this.#take()) {
      const { answer, pids } = batch;
      const timer = this.#giveUpLater(batch);
      try {
        answer.resolve(await this.#call([...pids]));
      } catch (error) {
        answer.reject(error);
      }
      timer.cancel();
      this.#hangs = false;
    }
    this.#isBusy = false;
  }

  #take(): Batch | undefined {
    const batch = this.#next;
    this.#next = undefined;
    return batch;
  }

  /** Until that call answers after all, no other is made, and all are refused: what hangs must not gather. */
  #giveUpLater(batch: Batch): Timer {
    return this.#clock.after(TIMEOUT, () => {
      this.#hangs = true;
      batch.answer.reject(timeout());
      this.#take()?.answer.reject(timeout());
    });
  }

  async #call(pids: number[]): Promise<Answer> {
    try {
      const pidusage = await this.#load();
      const found = await pidusage(pids, { usePs: process.platform !== 'win32' });
      const known = Object.entries(found).filter((entry): entry is [string, PidStatus] => isStatus(entry[1]));
      return new Map(known.map(([pid, status]) => [Number(pid), status]));
    } catch (error) {
      // None of them is left.
      if (errnoOf(error) === 'ENOENT' && /^No matching pid/i.test((error as Error).message)) return new Map();
      throw error;
    }
  }
}

function isStatus(status: PidStatus | undefined): boolean {
  return status !== undefined && Number.isFinite(status.memory) && Number.isFinite(status.ctime);
}

function timeout(): Error {
  return Object.assign(new Error(`pidusage has not answered for ${TIMEOUT / 1_000} s`), { code: 'ETIMEDOUT' });
}

async function loadPidusage(): Promise<PidUsage> {
  const { default: pidusage } = await import('pidusage');
  return pidusage;
}
