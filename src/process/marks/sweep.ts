import { rest } from '../../runtime/rest.js';
import type { ProcessControl, ProcessRow } from '../process-table.js';
import type { InnerHosts } from './inner-hosts.js';
import type { Looks } from './looks.js';
import { type MarkReader, readMarks } from './mark-reader.js';
import { MarkSearch } from './mark-search.js';
import type { Mark } from './marker.js';
import type { HostLogin } from './search-knowledge.js';
import { Sweeper } from './sweeper.js';

export interface SweepOptions {
  /** Pids that are left alone, besides this process and its parent. */
  readonly exclude?: ReadonlySet<number> | undefined;
  /** No process with the mark was started before this, in ticks since boot. Makes a sweep much cheaper. */
  readonly since?: number | undefined;
  /** The login of the host that has made the mark. Default: that of this process. */
  readonly login?: HostLogin | undefined;
  /** The inner hosts that are known already; more are added to it. Default: none. */
  readonly inner?: InnerHosts | undefined;
  /** Shared with other sweeps, so that each process is read once for all of them. Default: looks of its own. */
  readonly looks?: Looks | undefined;
  /** Ms until it gives up. Default 2,000. */
  readonly timeout?: number;
  /** Whether its timers keep this process alive, for a process that runs only for the sweep. Default false. */
  readonly hold?: boolean;
  /** How marks are read. Default: from /proc. */
  readonly readMark?: MarkReader | undefined;
  /** The newest pid of the machine. Default: as the table shows it. */
  readonly newest?: () => number;
}

/** What a sweep did. */
export interface SweepReport {
  /** All processes that were sent SIGKILL. */
  readonly killed: readonly ProcessRow[];
  /** Processes with the mark that still live when the time is up. */
  readonly survivors: readonly ProcessRow[];
  /** False when the time was up before enough scans found no process; then `survivors` are those of the last scan. */
  readonly quiet: boolean;
  readonly scans: number;
  /** Ms. */
  readonly duration: number;
}

const TIMEOUT = 2_000;
/** How many scans in a row must show no process. One is not enough: a child that is being forked is not visible yet. */
export const QUIET_SCANS = 3;
const FIRST_PAUSE = 1;
const LONGEST_PAUSE = 25;

/**
 * Kills all processes with `mark`. Scans again until several scans in a row find none, and every process that was
 * started meanwhile was read. Bounded in time.
 * @throws when the process table cannot be read: then nothing is proven
 */
export async function sweep(mark: Mark, processes: ProcessControl, options: SweepOptions = {}): Promise<SweepReport> {
  const { timeout = TIMEOUT, hold = false } = options;
  const started = performance.now();
  const end = started + timeout;
  const sweeper = sweeperOf(mark, processes, options);
  let scans = 0;
  let pause = FIRST_PAUSE;
  for (let quiet = 0; quiet < QUIET_SCANS; scans++) {
    if (scans > 0) await rest(pause, hold);
    if (performance.now() >= end) break;
    const chase = sweeper.pass(end);
    // Processes of others may be started faster than they can be read.
    if (chase !== 'unread') quiet = chase === 'none' ? quiet + 1 : 0;
    pause = chase === 'none' ? FIRST_PAUSE : Math.min(pause * 2, LONGEST_PAUSE);
    if (quiet === QUIET_SCANS) return report([], true);
  }
  return report(sweeper.scan(), false);

  function report(survivors: readonly ProcessRow[], quiet: boolean): SweepReport {
    const duration = Math.round(performance.now() - started);
    return { killed: [...sweeper.killed.values()], survivors, quiet, scans: scans + 1, duration };
  }
}

function sweeperOf(mark: Mark, processes: ProcessControl, options: SweepOptions): Sweeper {
  const { readMark = readMarks, since, inner, looks, login, newest, exclude } = options;
  return new Sweeper(
    processes,
    new MarkSearch(mark, { looks, table: processes.table, readMark, since, inner, login, newest }),
    exclude,
  );
}
