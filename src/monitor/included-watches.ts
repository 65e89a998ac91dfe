import { PoolError } from '../errors.js';
import type { ProcessWatch } from '../process/strays/watch-processes.js';

/** More are refused: each is asked at each sample. */
const MOST = 100;

/** Watches over processes that no pool has started. What they list counts as unexpected. */
export class IncludedWatches {
  readonly #watches = new Set<ProcessWatch>();

  /** @throws PoolError `INVALID_OPTIONS` */
  add(watch: ProcessWatch): void {
    if (!isWatch(watch)) throw refusal('watch must be what watchProcesses() returns');
    this.#forgetStopped();
    if (this.#watches.size >= MOST && !this.#watches.has(watch)) throw refusal(`${MOST} watches are included already`);
    this.#watches.add(watch);
  }

  /** How many processes they list now. One that several of them list counts once. */
  count(): number {
    this.#forgetStopped();
    const listed = [...this.#watches].flatMap(({ latest }) => latest?.processes ?? []);
    return new Set(listed.map(({ pid, startTime }) => `${pid}@${startTime}`)).size;
  }

  #forgetStopped(): void {
    for (const watch of this.#watches) if (watch.isStopped) this.#watches.delete(watch);
  }
}

/** Not by its class: it may come from another copy of the package. */
function isWatch(value: unknown): value is ProcessWatch {
  return typeof value === 'object' && value !== null && 'latest' in value && 'isStopped' in value;
}

function refusal(problem: string): PoolError {
  const message = `the call of monitor.include() was refused: ${problem}`;
  return new PoolError('INVALID_OPTIONS', message, { problems: [problem] });
}
