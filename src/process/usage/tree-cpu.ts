import type { ProcessCpu } from './process-usage.js';

/** The counters have this resolution, ms: each process may show so much more than it has used since the last sample. */
const TICK = 10;
/** By how much a process may seem older than the last sample, which has missed it at its fork, ms. */
const MISSED = 2_000;

const NONE = new Map<number, number>();

interface Known {
  readonly startTime: number;
  readonly parent: number;
  readonly cpu: number;
  readonly childCpu: number;
  /** What members below it had used that are gone, and that it did not show as time of its children yet. */
  readonly owed: number;
}

/**
 * The CPU time of a tree, ms, with what its former members have used. When a process is collected by its parent, the kernel
 * adds its time to that of the parent's children: then the sum over the living is right. It is lost for the tree when
 * another process collects it (an orphan, the leader), or none needs to (SIGCHLD ignored): then what was seen of it counts on.
 *
 * The processes of a sample are read one after the other. If a process is collected after its parent was read, and before it
 * is read itself, its time shows neither here nor there: the next sample has it. The reverse, a process read before it was
 * collected and its parent after that, must not be given to `add`: whoever reads looks again, in the end, whether each is there.
 *
 * The sum never falls, whatever the counters do. It may be too small, but it never counts anything twice.
 */
export class TreeCpu {
  readonly #cpus: number;
  #known = new Map<number, Known>();
  #total = 0;
  /** The time between the last two samples, ms. Undefined before the second one. */
  #interval: number | undefined;
  #isFirst = true;

  /** @param cpus of the machine: no tree uses more */
  constructor(cpus: number) {
    this.#cpus = cpus;
  }

  get total(): number {
    return this.#total;
  }

  /**
   * @param found every process of the tree, zombies too
   * @param elapsed since the last call, ms; of no meaning in the first one
   */
  add(found: readonly ProcessCpu[], elapsed: number): number {
    const before = this.#known;
    const owed = this.#owedBy(found);
    const known = new Map<number, Known>();
    let rise = 0;
    for (const { pid, startTime, parent, age, cpu, childCpu } of found) {
      const last = before.get(pid);
      let left = 0;
      if (last?.startTime === startTime) {
        const ofChildren = Math.max(0, childCpu - last.childCpu);
        // The older debt first: this sample is the last that can show it.
        const rest = ofChildren - Math.min(ofChildren, last.owed);
        const due = owed.get(pid) ?? 0;
        const paid = Math.min(rest, due);
        left = due - paid;
        rise += Math.max(0, cpu - last.cpu) + rest - paid;
      } else if (this.#isFirst || age <= elapsed + MISSED) {
        rise += cpu + childCpu;
      }
      // Otherwise it is found late, so that most of its time was used before the last sample.
      // While a process is being collected its counters show 0 for a moment.
      const most = last?.startTime === startTime ? last : { cpu: 0, childCpu: 0 };
      const seen = { cpu: Math.max(cpu, most.cpu), childCpu: Math.max(childCpu, most.childCpu) };
      known.set(pid, { startTime, parent, ...seen, owed: left });
    }
    // What a sample does not show is in the next one.
    const most = this.#cpus * (elapsed + (this.#interval ?? elapsed)) + found.length * TICK;
    this.#total += this.#isFirst ? rise : Math.min(rise, Math.max(0, most));
    this.#interval = this.#isFirst ? undefined : elapsed;
    this.#isFirst = false;
    this.#known = known;
    return this.#total;
  }

  /** What members had used that are gone now, by the nearest ancestor that is left: it, or a process below it, collects them. */
  #owedBy(found: readonly ProcessCpu[]): Map<number, number> {
    const isKnown = ({ pid, startTime }: ProcessCpu) => this.#known.get(pid)?.startTime === startTime;
    // The usual case, which needs no map.
    if (found.length === this.#known.size && found.every(isKnown)) return NONE;
    const left = new Map(found.map(({ pid, startTime }) => [pid, startTime]));
    const isLeft = (pid: number) => left.get(pid) === this.#known.get(pid)?.startTime;
    const owed = new Map<number, number>();
    for (const [pid, gone] of this.#known) {
      if (isLeft(pid)) continue;
      const above = new Set([pid]);
      let heir = gone.parent;
      for (let one = this.#known.get(heir); one && !isLeft(heir) && !above.has(heir); one = this.#known.get(heir)) {
        above.add(heir);
        heir = one.parent;
      }
      if (!this.#known.has(heir) || !isLeft(heir)) continue;
      owed.set(heir, (owed.get(heir) ?? 0) + gone.cpu + gone.childCpu + gone.owed);
    }
    return owed;
  }
}
