import type { ProcessRow, ProcessTable } from '../../src/process/process-table.js';

/** A process table with the rows that the test adds. */
export class FakeTable implements ProcessTable {
  readonly rows = new Map<number, ProcessRow>();
  /** While true, reading fails, as with /proc when no descriptor is free. */
  failing = false;

  /** Adds a process, or replaces the one with its pid. By default it leads a group and a session of its own. */
  add(row: Partial<ProcessRow> & { pid: number }): ProcessRow {
    const full = { parent: 1, group: row.pid, session: row.pid, startTime: 1, dead: false, command: 'fake', ...row };
    this.rows.set(row.pid, full);
    return full;
  }

  change(pid: number, change: Partial<ProcessRow>): void {
    const row = this.rows.get(pid);
    if (row === undefined) throw new Error(`there is no process ${pid}`);
    this.rows.set(pid, { ...row, ...change });
  }

  remove(pid: number): void {
    this.rows.delete(pid);
  }

  read(pid: number): ProcessRow | undefined {
    this.#check();
    return this.rows.get(pid);
  }

  scan(): Map<number, ProcessRow> {
    this.#check();
    return new Map(this.rows);
  }

  #check(): void {
    if (this.failing) throw Object.assign(new Error('EMFILE: too many open files'), { code: 'EMFILE' });
  }
}

/** One that can list its pids, and counts what is read, as the table of Linux could. */
export class ListingTable extends FakeTable {
  readonly reads: number[] = [];
  scans = 0;
  newestPid = 100;
  /** How many numbers there are, and how many processes were started. Undefined: not shown. */
  numbers?: () => number;
  started: number | undefined;

  pids(): number[] {
    return [...this.rows.keys()];
  }

  newest(): number {
    return this.newestPid;
  }

  starts(): number | undefined {
    return this.started;
  }

  override read(pid: number): ProcessRow | undefined {
    this.reads.push(pid);
    return super.read(pid);
  }

  override scan(): Map<number, ProcessRow> {
    this.scans += 1;
    return super.scan();
  }
}
