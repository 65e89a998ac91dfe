import type { ResolvedFolderBudget } from '../config/monitoring-options.js';
import type { Clock } from '../runtime/clock.js';
import type { Told } from './finding.js';
import { FolderBudget } from './host/folder-budget.js';
import type { FolderReport } from './host/folder-options.js';

/** How often a folder is measured, ms: it may have hundreds of thousands of files. */
const INTERVAL = 60_000;

/** The folders with a budget. They are measured apart from the samples: a disk that does not answer holds up no sample. */
export class FolderWatch {
  readonly #folders: readonly { readonly budget: FolderBudget; isExceeded: boolean; problem: string | undefined }[];
  readonly #clock: Clock;
  readonly #dryRun: boolean;
  readonly #tell: (told: Told) => void;
  #lookedAt = -Infinity;
  #abort = new AbortController();
  #isLooking = false;

  constructor(folders: readonly ResolvedFolderBudget[], dryRun: boolean, clock: Clock, tell: (told: Told) => void) {
    this.#folders = folders.map((folder) => {
      return { budget: new FolderBudget(folder, { clock }), isExceeded: false, problem: undefined };
    });
    this.#dryRun = dryRun;
    this.#clock = clock;
    this.#tell = tell;
  }

  /** Whether there is any. */
  get isNeeded(): boolean {
    return this.#folders.length > 0;
  }

  /** Measures the folders if that is due, one after the other. Never rejects. */
  async look(): Promise<void> {
    const now = this.#clock.now();
    if (this.#isLooking || now - this.#lookedAt < INTERVAL) return;
    this.#isLooking = true;
    this.#lookedAt = now;
    const { signal } = this.#abort;
    try {
      for (const folder of this.#folders) {
        const report = await folder.budget.look({ dryRun: this.#dryRun, signal });
        if (!signal.aborted) this.#conclude(folder, report);
      }
    } finally {
      this.#isLooking = false;
    }
  }

  stop(): void {
    this.#abort.abort();
    this.#abort = new AbortController();
  }

  #conclude(folder: { isExceeded: boolean; problem: string | undefined }, report: FolderReport): void {
    const { path, limitMB, sizeMB, exceeded, removed, removedMB, problem } = report;
    if (exceeded !== folder.isExceeded) {
      folder.isExceeded = exceeded;
      const event = exceeded ? 'limit:exceeded' : 'limit:recovered';
      this.#tell([event, { kind: 'folder', path, value: sizeMB, limit: limitMB }]);
    }
    if (removed > 0) {
      const reason = `folder ${path} had more than ${limitMB} MB: ${removed} of its oldest files, ${Math.round(removedMB)} MB`;
      this.#tell(['action:taken', { action: 'prune', reason, dryRun: this.#dryRun }]);
    }
    if (problem !== undefined && problem !== folder.problem) {
      const consequence = 'the budget of this folder is not kept';
      this.#tell(['monitor:degraded', { part: 'folder', reason: `${path}: ${problem}`, consequence }]);
    }
    folder.problem = problem;
  }
}
