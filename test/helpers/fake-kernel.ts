import type { ProcessRow } from '../../src/process/process-table.js';
import { FakeTable } from './fake-table.js';

/** A few processes under the rules of the kernel, with numbers that are soon given again. */
export class FakeKernel extends FakeTable {
  readonly #numbers: number;
  #time = 0;
  #cursor = 1;

  /** `numbers`: how many pids there are; the fewer, the sooner one is given again. */
  constructor(numbers = 40) {
    super();
    this.#numbers = numbers;
    this.add({ pid: 1, parent: 0, startTime: 0, command: 'init' });
  }

  /** A new child in the group and session of its parent, or the leader of its own. Undefined when no pid is free. */
  fork(parent: number, own?: 'own session'): ProcessRow | undefined {
    const { group, session } = this.#row(parent);
    const pid = this.#freeNumber();
    if (pid === undefined) return undefined;
    this.#time += 1;
    return this.add({ pid, parent, startTime: this.#time, ...(own ? {} : { group, session }) });
  }

  /** Refused to the leader of a group. */
  setsid(pid: number): void {
    if ([...this.rows.values()].some(({ group }) => group === pid)) return;
    this.change(pid, { group: pid, session: pid });
  }

  /** Refused to the leader of a session. */
  setpgid(pid: number): void {
    if (this.#row(pid).session !== pid) this.change(pid, { group: pid });
  }

  /** Its children go to init. It stays a zombie until its parent collects it; init does so at once. */
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

  /** A number is not given again while a process, a group or a session has it. */
  #freeNumber(): number | undefined {
    const taken = new Set([...this.rows.values()].flatMap(({ pid, group, session }) => [pid, group, session]));
    for (let tried = 0; tried < this.#numbers; tried++) {
      this.#cursor = (this.#cursor % this.#numbers) + 1;
      if (!taken.has(this.#cursor)) return this.#cursor;
    }
    return undefined;
  }
}
