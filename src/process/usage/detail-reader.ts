import { readdir, readFile } from 'node:fs/promises';
import { errnoOf } from '../../errors.js';
import { type Clock, systemClock } from '../../runtime/clock.js';
import { within } from '../../runtime/within.js';
import type { ProcessIdentity, ProcessTable } from '../process-table.js';
import { isUninterruptible } from '../uninterruptible.js';
import type { ProcessDetail } from './process-usage.js';

/** For so long the kernel may keep the set sizes of a process from their reader, ms. */
const LONGEST = 10_000;
const HIDDEN: ProcessDetail = { descriptors: undefined, pss: undefined };

export interface DetailParts {
  readonly clock: Clock;
  /** The names in /proc/PID/fd. */
  readonly descriptors: (pid: number) => Promise<readonly string[]>;
  /** The content of /proc/PID/smaps_rollup. */
  readonly rollup: (pid: number) => Promise<string>;
}

/**
 * Reads what is too expensive for every sample. The kernel locks the memory of a process for its set sizes. When the process
 * hangs with that lock, so does the reader, which is one of the few threads of the host that read files. So what is
 * uninterruptible is not read, and of what becomes so meanwhile there is one reader, however often it is asked for.
 */
export class DetailReader {
  readonly #table: ProcessTable;
  readonly #parts: DetailParts;
  /** By pid and start time. */
  readonly #reading = new Map<string, Promise<string | undefined>>();

  constructor(table: ProcessTable, parts: DetailParts = KERNEL) {
    this.#table = table;
    this.#parts = parts;
  }

  /** Undefined when the process is gone. A field is undefined when it may not be read, or not now. */
  async read(identity: ProcessIdentity): Promise<ProcessDetail | undefined> {
    const row = this.#rowOf(identity);
    if (row === undefined) return undefined;
    // Without its main thread a process shows neither.
    if (isUninterruptible(row) || (row.state === 'Z' && !row.dead)) return HIDDEN;
    const [descriptors, rollup] = await Promise.all([
      readable(this.#parts.descriptors(identity.pid)),
      readable(this.#rollupOf(identity)),
    ]);
    if (descriptors === 'gone' || rollup === 'gone') return undefined;
    // Another process may have got the number meanwhile.
    if (this.#rowOf(identity) === undefined) return undefined;
    const pss = rollup && /^Pss:\s+(\d+) kB$/m.exec(rollup)?.[1];
    return { descriptors: descriptors?.length, pss: pss === undefined ? undefined : Number(pss) * 1_024 };
  }

  #rowOf({ pid, startTime }: ProcessIdentity) {
    const row = this.#table.read(pid);
    return row?.startTime === startTime ? row : undefined;
  }

  /** Undefined when it takes too long, and from then on at once, until that reader has its answer. */
  #rollupOf({ pid, startTime }: ProcessIdentity): Promise<string | undefined> {
    const key = `${pid} ${startTime}`;
    const known = this.#reading.get(key);
    if (known !== undefined) return known;
    const reading = this.#parts.rollup(pid);
    const inTime = within(this.#parts.clock, LONGEST, reading).catch((error: unknown) => {
      if (errnoOf(error) !== undefined) throw error;
      return undefined;
    });
    this.#reading.set(key, inTime);
    const forget = () => void this.#reading.delete(key);
    reading.then(forget, forget);
    return inTime;
  }
}

/** Undefined when this user may not read it. Other errors show nothing of the process (EMFILE). */
async function readable<T>(reading: Promise<T>): Promise<T | 'gone' | undefined> {
  try {
    return await reading;
  } catch (error) {
    const errno = errnoOf(error) ?? '';
    if (['ENOENT', 'ESRCH'].includes(errno)) return 'gone';
    if (['EACCES', 'EPERM'].includes(errno)) return undefined;
    throw error;
  }
}

const KERNEL: DetailParts = {
  clock: systemClock,
  descriptors: (pid) => readdir(`/proc/${pid}/fd`),
  rollup: (pid) => readFile(`/proc/${pid}/smaps_rollup`, 'latin1'),
};
