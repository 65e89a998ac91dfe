import { realpath } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { ExceededFolder, ResolvedFolderBudget } from '../../config/folder-options.js';
import { errnoOf, messageOf } from '../../errors.js';
import { inMB } from '../../process/host/system-files.js';
import { type Clock, systemClock } from '../../runtime/clock.js';
import { mayBeOpenToOthers, pathProblem } from '../../runtime/safe-path.js';
import { FolderPrune, type Pruned, UNKNOWN } from './folder-prune.js';
import type { FolderReport } from './folder-report.js';
import { type Walked, walk } from './folder-walk.js';
import { findHomes } from './homes.js';
import { asShown, CAN_PIN, PinnedFolder } from './pinned-folder.js';
import { type SliceLimits, Slices } from './slices.js';

export interface FolderParts {
  readonly clock?: Clock;
  /** ms since 1970, as the times of files. Default: `Date.now`. */
  readonly date?: () => number;
  /** Of one look. Default: 500,000 files and folders, 60 s. */
  readonly limits?: SliceLimits;
}

export interface LookOptions {
  /** Changes nothing, calls no function, and reports what would be removed. */
  readonly dryRun?: boolean;
  /** Asked before something is done: otherwise it is only measured. Default: it may. */
  readonly mayAct?: (() => boolean) | undefined;
  /** Ends the look early: nothing is done then. */
  readonly signal?: AbortSignal | undefined;
}

const LIMITS: SliceLimits = { steps: 500_000, time: 60_000 };
/** For a function of the host. ms. */
const LONGEST_CALL = 60_000;
/** To the next prune after one that could not find out which files are open. ms */
const REST = 600_000;
const MB = 1_048_576;

/** Watches how much a folder takes on the disk. */
export class FolderBudget {
  readonly #options: ResolvedFolderBudget;
  readonly #clock: Clock;
  readonly #date: () => number;
  readonly #limits: SliceLimits;
  #look: Promise<FolderReport> | undefined;
  /** Whether a call of the host's function has not ended. */
  #isCalled = false;
  /** Clock time, ms. */
  #noPruneBefore = -Infinity;

  constructor(
    options: ResolvedFolderBudget,
    { clock = systemClock, date = Date.now, limits = LIMITS }: FolderParts = {},
  ) {
    this.#options = { ...options, path: resolve(options.path) };
    this.#clock = clock;
    this.#date = date;
    this.#limits = limits;
  }

  get path(): string {
    return this.#options.path;
  }

  /**
   * Measures the folder, and does what is due when it takes too much. It never rejects: what fails is the `problem` of the
   * report. While it looks, a second call gets the same report. It keeps no host alive for longer than 500 files take.
   */
  look(options: LookOptions = {}): Promise<FolderReport> {
    this.#look ??= this.#lookNow(options).finally(() => {
      this.#look = undefined;
    });
    return this.#look;
  }

  async #lookNow({ dryRun = false, signal, mayAct = () => true }: LookOptions): Promise<FolderReport> {
    let root: PinnedFolder | undefined;
    try {
      const { path, onExceeded } = this.#options;
      // Only the way to it may have links.
      const real = join(await realpath(dirname(path)), basename(path));
      root = await PinnedFolder.open(real);
      const isPruned = onExceeded === 'prune-oldest';
      const prune = isPruned ? new FolderPrune(asShown(real), this.#date(), await findHomes()) : undefined;
      const slices = new Slices(this.#clock, this.#limits, { signal });
      const walked = await walk(root, slices, prune);
      if (!this.#isExceeded(walked)) return this.#report(walked, { problem: problemOf(walked, slices) });
      const problem = problemOf(walked, slices);
      if (slices.isAborted || !mayAct()) return this.#report(walked, { problem });
      if (prune) {
        const why = walked.isPart ? problem : await refusal(root, real, prune);
        if (why !== undefined) return this.#report(walked, { problem: `nothing is removed: ${why}` });
        const pruned = await this.#prune(prune, root, walked, { dryRun, signal });
        return this.#report(walked, { ...pruned, problem: pruned.problem ?? problem });
      }
      if (typeof onExceeded !== 'function') return this.#report(walked, { problem });
      if (this.#isCalled) return this.#report(walked, { problem: 'onExceeded has not ended since the last look' });
      const failure = dryRun ? undefined : await this.#call(onExceeded, walked);
      return this.#report(walked, { isCall: true, problem: failure ?? problem });
    } catch (error) {
      // A folder that is not there takes nothing; but its path may be wrong.
      const isPart = errnoOf(error) !== 'ENOENT';
      return this.#report({ ...NOTHING, isPart }, { problem: rootProblem(error) });
    } finally {
      await root?.close();
    }
  }

  /** The search for open files is bounded by its time alone: all descriptors of the machine may be many. */
  async #prune(prune: FolderPrune, root: PinnedFolder, walked: Walked, options: LookOptions): Promise<Pruned> {
    const { dryRun = false, signal } = options;
    if (this.#clock.now() < this.#noPruneBefore) return { removed: 0, bytes: 0, problem: UNKNOWN };
    const excess = walked.bytes - this.#options.limitMB * MB;
    const slices = new Slices(this.#clock, { ...this.#limits, steps: Infinity }, { signal });
    const pruned = await prune.run(root, excess, slices, dryRun);
    if (pruned.problem === UNKNOWN && !slices.isAborted) this.#noPruneBefore = this.#clock.now() + REST;
    return pruned;
  }

  #isExceeded({ bytes }: Walked): boolean {
    return bytes > this.#options.limitMB * MB;
  }

  #report(
    walked: Walked,
    {
      removed = 0,
      bytes = 0,
      isCall = false,
      problem,
    }: Partial<Pruned> & { isCall?: boolean; problem: string | undefined },
  ): FolderReport {
    return {
      ...this.#usage({ files: walked.files - removed, bytes: walked.bytes - bytes }),
      measuredMB: inMB(walked.bytes),
      exceeded: this.#isExceeded(walked) || (walked.isPart ? undefined : false),
      isCall,
      removed,
      removedMB: inMB(bytes),
      problem,
    };
  }

  #usage({ files, bytes }: Pick<Walked, 'files' | 'bytes'>): ExceededFolder {
    return { path: this.path, limitMB: this.#options.limitMB, sizeMB: inMB(bytes), files };
  }

  /** @returns what failed */
  async #call(onExceeded: (usage: ExceededFolder) => unknown, walked: Walked): Promise<string | undefined> {
    this.#isCalled = true;
    const call = (async () => onExceeded(this.#usage(walked)))().then(
      () => undefined,
      (error: unknown) => `onExceeded failed: ${messageOf(error)}`,
    );
    void call.then(() => {
      this.#isCalled = false;
    });
    return new Promise((settle) => {
      const timer = this.#clock.after(LONGEST_CALL, () => settle(`onExceeded has not ended after ${LONGEST_CALL} ms`));
      void call.then((problem) => {
        timer.cancel();
        settle(problem);
      });
    });
  }
}

const NOTHING: Walked = { files: 0, bytes: 0, isPart: false, failure: undefined, unreadable: 0 };

function problemOf({ files, isPart, failure, unreadable }: Walked, slices: Slices): string | undefined {
  if (slices.isAborted) return `the look was stopped after ${files} files`;
  if (failure !== undefined) return `only ${files} files were measured (${failure})`;
  if (isPart) return `it has too many files: only ${files} were measured`;
  return unreadable === 0 ? undefined : `${unreadable} folders in it, or files, could not be read`;
}

function rootProblem(error: unknown): string {
  const errno = errnoOf(error);
  if (errno === 'ENOENT') return 'there is no such folder';
  if (errno === 'ELOOP') return 'it is a symbolic link: give the path that it leads to';
  if (errno === 'ENOTDIR') return 'it is no folder, or a symbolic link';
  return `it could not be read (${errno ?? messageOf(error)})`;
}

/** Why nothing may be removed from it. */
async function refusal(root: PinnedFolder, real: string, prune: FolderPrune): Promise<string | undefined> {
  if (!CAN_PIN) return 'this system has no /proc by which it can be done safely; give a function for onExceeded';
  const { uid, mode } = await root.status();
  if (Number(uid) !== process.getuid?.()) return 'it belongs to another user';
  // Sticky or not: what is in there may have been put there by another user.
  if (mayBeOpenToOthers({ mode: Number(mode) })) return 'others can write to it (chmod go-w)';
  if ((await root.where()) !== asShown(real)) return 'it was moved or replaced meanwhile';
  if (prune.isHomeMet) return 'the home of this user is in it';
  return pathProblem(dirname(real), undefined, mayBeOpenToOthers);
}
