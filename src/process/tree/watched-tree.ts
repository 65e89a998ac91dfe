import { looksAt } from '../marks/looks.js';
import type { Platform } from '../platform.js';
import { identify, isThread, type ProcessIdentity, type ProcessRow } from '../process-table.js';
import { TreeMeter } from '../usage/tree-meter.js';
import type { DetailedUsage, TreeUsage } from '../usage/tree-usage.js';
import { ProcessTree } from './process-tree.js';

/** A tree that this host did not start: it is measured, and never gets a signal. */
export interface WatchedTree {
  readonly identity: ProcessIdentity;
  /** As {@link ServerProcess.usage}. Undefined when nothing of it lives. */
  usage(): Promise<TreeUsage | undefined>;
  detailedUsage(): Promise<DetailedUsage>;
  /** Gives back what it keeps open. Nothing can be measured any more. */
  close(): void;
}

/**
 * The process with that pid, its descendants, and the group and session that it leads. The pid counts for the process that has
 * it now: another one that gets it later is not measured.
 * @returns undefined when no process has the pid, but at most a thread, or nothing can be measured on this platform
 * @throws with the errno when the process table cannot be read
 */
export function watchedTree(platform: Platform, pid: number): WatchedTree | undefined {
  const startTime = identify(platform.table, pid);
  if (startTime === undefined || platform.usage === undefined || isThread(platform.table, pid)) return undefined;
  const { usage: source } = platform;
  const members = new WatchedMembers(platform, { pid, startTime });
  const meter = new TreeMeter({ source, age: Math.max(0, source.age(startTime)) });
  return {
    identity: { pid, startTime },
    async usage() {
      const usage = await meter.measure(() => members.present());
      return usage.processes === 0 && usage.zombies === 0 ? undefined : usage;
    },
    detailedUsage: () => meter.measureAll(() => members.present()),
    close() {
      meter.close();
      members.close();
    },
  };
}

class WatchedMembers {
  readonly #platform: Platform;
  readonly #leader: ProcessIdentity;
  readonly #tree: ProcessTree;
  #hasLeft = false;
  #isClosed = false;

  constructor(platform: Platform, leader: ProcessIdentity) {
    this.#platform = platform;
    this.#leader = leader;
    const looks = looksAt(platform.table, platform.marks);
    this.#tree = new ProcessTree(platform.table, leader, { looks });
  }

  present(): readonly ProcessRow[] {
    if (this.#isClosed) return [];
    this.#noteEnd();
    return this.#tree.present();
  }

  close(): void {
    this.#isClosed = true;
    this.#tree.forget();
  }

  /** Its end is not reported to this host. What it has left is found by its group and session. */
  #noteEnd(): void {
    const { pid, startTime } = this.#leader;
    if (this.#hasLeft || this.#platform.table.read(pid)?.startTime === startTime) return;
    this.#hasLeft = true;
    this.#tree.leaderExited();
  }
}
