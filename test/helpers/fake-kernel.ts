import type { ProcessRow } from '../../src/process/process-table.js';
import { FakeTable } from './fake-table.js';

/** A process table with the rules of the kernel for fork, exit, groups and sessions. It reuses pids soon. */
export class FakeKernel extends FakeTable {
  readonly #numbers: number;
  #time = 0;
  #cursor = 1;

  /** @param numbers how many pids there are; the fewer, the sooner one is reused */
  constructor(numbers = 40) {
    super();
    this.#numbers = numbers;
    this.add({ pid: 1, parent: 0, startTime: 0, command: 'init' });
  }

  /** Adds a child in the group and session of its parent, or as the leader of its own. Undefined when no pid is free. */
  fork(parent: number, own?: 'own session'): ProcessRow | undefined {
    const { group, session } = this.#row(parent);
    const pid = this.#freeNumber();
    if (pid === undefined) return undefined;
    this.#time += 1;
    return this.add({ pid, parent, startTime: this.#time, ...(own ? {} : { group, session }) });
  }

  /** Does nothing for the leader of a group, as in the kernel. */
  setsid(pid: number): void {
    if ([...this.rows.values()].some(({ group }) => group === pid)) return;
    this.change(pid, { group: pid, session: pid });
  }

  /** Does nothing for the leader of a session, as in the kernel. */
  setpgid(pid: number): void {
    if (this.#row(pid).session !== pid) this.change(pid, { group: pid });
  }

  /** The children get init as their parent. The process stays a zombie until its parent collects it; init collects at once. */
  exit(pid: number): void {
    for (const child of [...this.rows.values()]) {
      if (child.parent !== pid) continue;
      if (child.dead) this.remove(child.pid);
      else this.change(child.pid, { parent: 1 });
    }
    if (this.#row(pid).parent === 1) this.remove(pid);
    else this.change(pid, { dead: true });
  }

  collect(pid: number): void {
    if (this.#row(pid).dead) this.remove(pid);
  }

  living(): ProcessRow[] {
    return [...this.rows.values()].filter(({ dead }) => !dead);
  }

  #row(pid: number): ProcessRow {
    const row = this.rows.get(pid);
    if (row === undefined) throw new Error(`there is no process ${pid}`);
    return row;
  }

  /** A number is not reused while a process, a group or a session has it. */
  #freeNumber(): number | undefined {
    const taken = new Set([...this.rows.values()].flatMap(({ pid, group, session }) => [pid, group, session]));
    for (let tried = 0; tried < this.#numbers; tried++) {
      this.#cursor = (this.#cursor % this.#numbers) + 1;
      if (!taken.has(this.#cursor)) return this.#cursor;
    }
    return undefined;
  }
}
