import type { ResolvedFolderBudget } from '../config/folder-options.js';
import type { Clock, Timer } from '../runtime/clock.js';
import type { MonitorNotice } from './finding.js';
import { FolderBudget } from './host/folder-budget.js';
import type { FolderReport } from './host/folder-report.js';
import type { LimitEvent } from './monitor-events.js';

/** From the last look to the next one, ms: a folder may have hundreds of thousands of files. */
const PAUSE = 60_000;
/** To the first look, ms: servers that start then come first. */
const FIRST = 10_000;
/** ms. A look ends after 120 s: 60 s to measure, 60 s for a prune or a function of the host. What takes longer hangs. */
const LONGEST_LOOK = 150_000;

interface WatchedFolder {
  readonly budget: FolderBudget;
  /** Its event, since it is exceeded. */
  exceeded: LimitEvent | undefined;
  /** Whether an event has reported what would be done, since it is exceeded. */
  isDryTold: boolean;
  problem: string | undefined;
  /** When the look began that has not ended. */
  since: number | undefined;
}

interface FolderWatchParts {
  readonly clock: Clock;
  readonly tell: (notice: MonitorNotice) => void;
  /** Whether something may be done for folders now; else they are only measured. */
  readonly mayAct?: () => boolean;
  /** ms since 1970, as the times of files. Default: `Date.now`. */
  readonly date?: () => number;
}

/**
 * The folders with a budget. They are measured apart from the samples, and one after the other: a disk that does not answer
 * holds up no sample, and one thread of the host.
 */
export class FolderWatch {
  readonly #folders: readonly WatchedFolder[];
  readonly #clock: Clock;
  readonly #dryRun: boolean;
  readonly #tell: (notice: MonitorNotice) => void;
  readonly #mayAct: (() => boolean) | undefined;
  #timer: Timer | undefined;
  /** Of the present run; undefined while it is stopped. */
  #run: AbortController | undefined;

  /** Without `mayAct` it may do what is due at any time. */
  constructor(
    folders: readonly ResolvedFolderBudget[],
    dryRun: boolean,
    { clock, tell, mayAct, date }: FolderWatchParts,
  ) {
    this.#folders = folders.map((folder) => {
      const budget = new FolderBudget(folder, { clock, ...(date && { date }) });
      return { budget, exceeded: undefined, isDryTold: false, problem: undefined, since: undefined };
    });
    this.#dryRun = dryRun;
    this.#clock = clock;
    this.#tell = tell;
    this.#mayAct = mayAct;
  }

  /** Looks at the folders again and again, until `stop()`. Does nothing where there is none. */
  start(): void {
    if (this.#run || this.#folders.length === 0) return;
    this.#run = new AbortController();
    this.#schedule(FIRST, this.#run.signal);
  }

  /** Also ends the look that is under way: what it finds is not reported. What is not measured is not known to be exceeded. */
  stop(): void {
    this.#timer?.cancel();
    this.#run?.abort();
    this.#run = undefined;
    for (const folder of this.#folders) {
      if (folder.exceeded) this.#tell(['limit:recovered', { ...folder.exceeded, value: 0 }]);
      folder.exceeded = undefined;
    }
  }

  #schedule(delay: number, run: AbortSignal): void {
    this.#timer = this.#clock.after(delay, () => void this.#lookAtAll(run));
  }

  /** Never rejects. */
  async #lookAtAll(run: AbortSignal): Promise<void> {
    for (const folder of this.#folders) {
      await this.#lookAt(folder, run);
      if (run.aborted) return;
    }
    this.#schedule(PAUSE, run);
  }

  async #lookAt(folder: WatchedFolder, run: AbortSignal): Promise<void> {
    const now = this.#clock.now();
    // A second look would take a second thread.
    if (folder.since !== undefined) return now - folder.since < LONGEST_LOOK ? undefined : this.#tellHung(folder);
    folder.since = now;
    const look = folder.budget.look({ dryRun: this.#dryRun, mayAct: this.#mayAct, signal: run }).then((report) => {
      folder.since = undefined;
      if (!run.aborted) this.#conclude(folder, report);
    });
    await this.#endOf(look, folder);
  }

  /** Also resolves when the disk does not answer; never when that is so and the watch is stopped. */
  async #endOf(look: Promise<void>, folder: WatchedFolder): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = this.#clock.after(LONGEST_LOOK, () => {
        this.#tellHung(folder);
        resolve();
      });
      this.#timer = timer;
      void look.then(() => {
        timer.cancel();
        resolve();
      });
    });
  }

  #conclude(folder: WatchedFolder, report: FolderReport): void {
    const { path, limitMB, sizeMB, measuredMB, exceeded, problem } = report;
    if (exceeded !== undefined && exceeded !== (folder.exceeded !== undefined)) {
      const event: LimitEvent = { kind: 'folder', path, value: exceeded ? measuredMB : sizeMB, limit: limitMB };
      folder.exceeded = exceeded ? event : undefined;
      folder.isDryTold = false;
      this.#tell([exceeded ? 'limit:exceeded' : 'limit:recovered', event]);
    }
    this.#tellActions(folder, report);
    this.#tellProblem(folder, problem);
  }

  /** A dry run changes nothing, so each look finds the same. */
  #tellActions(folder: WatchedFolder, { path, limitMB, measuredMB, removed, removedMB, isCall }: FolderReport): void {
    const dryRun = this.#dryRun;
    if ((removed === 0 && !isCall) || folder.isDryTold) return;
    folder.isDryTold = dryRun;
    const what = isCall ? inWords(measuredMB) : `${removed} of its oldest files, ${inWords(removedMB)}`;
    const reason = `folder ${path} had more than ${limitMB} MB: ${what}`;
    this.#tell(['action:taken', { action: isCall ? 'call-host' : 'prune', reason, path, dryRun }]);
  }

  #tellHung(folder: WatchedFolder): void {
    this.#tellProblem(folder, `its disk has not answered for ${LONGEST_LOOK / 1_000} s`);
  }

  /** Once, until there is none, or another one. */
  #tellProblem(folder: WatchedFolder, problem: string | undefined): void {
    if (problem !== undefined && problem !== folder.problem) {
      const reason = `${folder.budget.path}: ${problem}`;
      const consequence = 'the budget of this folder is not kept';
      this.#tell(['monitor:degraded', { part: 'folder', reason, consequence }]);
    }
    folder.problem = problem;
  }
}

function inWords(megabytes: number): string {
  return `${Math.round(megabytes)} MB`;
}
