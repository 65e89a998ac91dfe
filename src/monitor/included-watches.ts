import { PoolError } from '../errors.js';
import type { ProcessWatch } from '../process/strays/watch-processes.js';
import type { WatchedProcess } from '../process/strays/watch-rounds.js';

/** More are refused: each is asked at each sample. */
const MOST = 100;

/** Watches over processes that no pool has started. What they list counts as unexpected. */
export class IncludedWatches {
  readonly #watches = new Set<ProcessWatch>();
  readonly #onFailure: (error: unknown) => void;
  #isFailing = false;

  /** @param onFailure called when a list cannot be read: once, until all can be */
  constructor(onFailure: (error: unknown) => void) {
    this.#onFailure = onFailure;
  }

  /** @throws PoolError `INVALID_OPTIONS` */
  add(watch: ProcessWatch): void {
    if (!attempt(() => isWatch(watch), [])) throw refusal('watch must be what watchProcesses() returns');
    this.#forgetStopped();
    if (this.#watches.size >= MOST && !this.#watches.has(watch)) throw refusal(`${MOST} watches are included already`);
    this.#watches.add(watch);
  }

  /** How many processes they list now. One that several of them list counts once. A list that cannot be read counts as empty. */
  count(): number {
    const failures = this.#forgetStopped();
    const listed = new Set<string>();
    for (const watch of this.#watches) {
      const keys = attempt(() => keysOf(watch), failures) ?? [];
      for (const key of keys) listed.add(key);
    }
    this.#note(failures);
    return listed.size;
  }

  /** Returns why that was not possible. */
  #forgetStopped(): Failure[] {
    const failures: Failure[] = [];
    for (const watch of this.#watches) if (attempt(() => watch.isStopped, failures)) this.#watches.delete(watch);
    return failures;
  }

  #note([first]: readonly Failure[]): void {
    const wasFailing = this.#isFailing;
    this.#isFailing = first !== undefined;
    if (first && !wasFailing) this.#onFailure(first.error);
  }
}

interface Failure {
  readonly error: unknown;
}

/** A watch of the host may be anything that looks like one. */
function attempt<T>(task: () => T, failures: Failure[]): T | undefined {
  try {
    return task();
  } catch (error) {
    failures.push({ error });
    return undefined;
  }
}

/** @throws Error when they are no processes */
function keysOf({ latest }: ProcessWatch): string[] {
  const processes: readonly WatchedProcess[] = latest?.processes ?? [];
  return processes.map((listed) => {
    const { pid, startTime } = listed;
    if (Number.isInteger(pid)) return `${pid}@${startTime}`;
    throw new TypeError('a watch lists what is no process');
  });
}

/** Not by its class: it may come from another copy of the package. */
function isWatch(value: unknown): value is ProcessWatch {
  return typeof value === 'object' && value !== null && 'latest' in value && 'isStopped' in value;
}

function refusal(problem: string): PoolError {
  const message = `the call of monitor.include() was refused: ${problem}`;
  return new PoolError('INVALID_OPTIONS', message, { problems: [problem] });
}
