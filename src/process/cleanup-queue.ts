import pRetry from 'p-retry';
import { type CleanupOptions, resolveCleanupOptions } from '../config/call-options.js';
import { messageOf } from '../errors.js';
import { type ListenerError, SafeEmitter } from '../events.js';
import { timerDelay } from '../runtime/clock.js';
import { type Deferred, deferred } from '../runtime/deferred.js';
import type { EndOptions } from './launcher.js';
import type { EndMode, TerminationReport } from './termination-report.js';

/** A process tree to be ended. */
export interface CleanupJob {
  /** Unique among the jobs that wait or run; a second job of the same id joins the first. */
  readonly id: string;
  readonly name: string;
  readonly pid?: number | undefined;
  /** Time that an attempt needs for the graces of its ladder, ms: the deadline is never shorter. Default 0. */
  readonly leastTime?: number;
  /** One attempt. Called again while something survives; goes to SIGKILL when its signal is aborted. */
  end(options: EndOptions): Promise<TerminationReport>;
}

/** Why a job goes on with SIGKILL at once. */
export type EscalationReason = 'timeout' | 'survivors' | 'asked';

/** What became of a job. */
export interface CleanupReport {
  readonly id: string;
  readonly name: string;
  readonly pid: number | undefined;
  /** Whether everything of the tree was proven dead. */
  readonly confirmed: boolean;
  readonly attempts: number;
  /** Why it had to go to SIGKILL, if it had to. */
  readonly escalated: EscalationReason | undefined;
  /** Ms from `enqueue` to the first attempt. */
  readonly waited: number;
  /** Ms from `enqueue` to the end of the last attempt. */
  readonly duration: number;
  /** The ladder of the last attempt: what was signalled, and when. Undefined when the attempt threw, or never came back. */
  readonly termination: TerminationReport | undefined;
  /** What could not be proven dead. */
  readonly survivors: TerminationReport['survivors'];
  /** Why the last attempt failed, if it did. */
  readonly error: string | undefined;
}

/** Where a job stands. */
export interface CleanupStatus {
  readonly id: string;
  readonly name: string;
  readonly pid: number | undefined;
  readonly state: 'waiting' | 'running' | 'finished' | 'failed';
  readonly mode: EndMode;
  readonly attempts: number;
  /** There once the job is finished or failed. */
  readonly report: CleanupReport | undefined;
}

/** The events of a `CleanupQueue` with the payload of each. */
export interface CleanupEvents {
  /** An attempt begins. */
  'cleanup:started': { id: string; name: string; pid: number | undefined; mode: EndMode; attempt: number };
  /** The job goes on with SIGKILL at once. */
  'cleanup:escalated': { id: string; name: string; pid: number | undefined; reason: EscalationReason };
  /** Everything was proven dead. */
  'cleanup:finished': CleanupReport;
  /** Something survives all attempts. */
  'cleanup:failed': CleanupReport;
  'listener:error': ListenerError;
}

interface Job {
  readonly target: CleanupJob;
  readonly enqueuedAt: number;
  startedAt: number | undefined;
  state: CleanupStatus['state'];
  mode: EndMode;
  attempts: number;
  escalated: EscalationReason | undefined;
  /** Aborts the ladder of the attempt that runs. */
  hurry: AbortController;
  termination: TerminationReport | undefined;
  error: string | undefined;
  report: CleanupReport | undefined;
  readonly ended: Deferred<CleanupReport>;
}

/** Backoff between attempts, ms: 100, 200, 400, … */
const FIRST_BACKOFF = 100;
const LONGEST_BACKOFF = 5_000;
/** What an attempt gets after its deadline to come back with SIGKILL, before it is given up. */
const ABANDON_AFTER = 5_000;
/** Ended jobs whose status can still be asked for. */
const HISTORY = 200;

/**
 * Ends process trees, a bounded number at once, each with a deadline for every attempt, retries with exponential backoff,
 * and a report. Works alone: anything with an `end()` can be enqueued. Its timers do not keep the host alive.
 */
export class CleanupQueue extends SafeEmitter<CleanupEvents> {
  readonly #options: ReturnType<typeof resolveCleanupOptions>;
  readonly #jobs = new Map<string, Job>();
  readonly #waiting: Job[] = [];
  readonly #ended: string[] = [];
  #running = 0;
  #idle: Deferred<void> | undefined;

  /** @throws PoolError `INVALID_OPTIONS` */
  constructor(options: CleanupOptions = {}) {
    super();
    this.#options = resolveCleanupOptions(options);
  }

  /** Jobs that wait or run. */
  get size(): number {
    return this.#waiting.length + this.#running;
  }

  /**
   * Ends a tree as soon as there is room. Never rejects: the report says what survived. An id that waits or runs already
   * is joined, and hurried when the new call is an emergency.
   */
  enqueue(target: CleanupJob, mode: EndMode = 'graceful'): Promise<CleanupReport> {
    const known = this.#jobs.get(target.id);
    if (known !== undefined && known.report === undefined) {
      if (mode === 'emergency') this.#escalate(known, 'asked');
      return known.ended.promise;
    }
    const job: Job = {
      target,
      mode,
      ended: deferred(),
      enqueuedAt: performance.now(),
      startedAt: undefined,
      state: 'waiting',
      attempts: 0,
      escalated: undefined,
      hurry: new AbortController(),
      termination: undefined,
      error: undefined,
      report: undefined,
    };
    this.#jobs.set(target.id, job);
    // What dies within milliseconds does not wait behind the graces of others.
    if (mode === 'emergency') this.#waiting.unshift(job);
    else this.#waiting.push(job);
    this.#next();
    return job.ended.promise;
  }

  /** Sends a job that waits or runs to SIGKILL at once; without an id, all of them. */
  escalate(id?: string): void {
    const jobs = id === undefined ? [...this.#jobs.values()] : [this.#jobs.get(id)];
    for (const job of jobs) if (job !== undefined && job.report === undefined) this.#escalate(job, 'asked');
  }

  /** One job that waits, runs, or ended not long ago. */
  status(id: string): CleanupStatus | undefined {
    const job = this.#jobs.get(id);
    return job && statusOf(job);
  }

  /** All of them, oldest first. */
  list(): CleanupStatus[] {
    return [...this.#jobs.values()].map(statusOf);
  }

  /** Resolves when nothing waits or runs. */
  whenIdle(): Promise<void> {
    if (this.size === 0) return Promise.resolve();
    this.#idle ??= deferred<void>();
    return this.#idle.promise;
  }

  #next(): void {
    while (this.#running < this.#options.concurrency) {
      const job = this.#waiting.shift();
      if (job === undefined) break;
      this.#running += 1;
      job.state = 'running';
      job.startedAt = performance.now();
      void this.#run(job);
    }
    if (this.size > 0) return;
    this.#idle?.resolve();
    this.#idle = undefined;
  }

  async #run(job: Job): Promise<void> {
    try {
      await pRetry(() => this.#attempt(job), {
        retries: this.#options.retries,
        minTimeout: FIRST_BACKOFF,
        maxTimeout: LONGEST_BACKOFF,
        unref: true,
        // A tree that outlived one ladder gets no second round of graces.
        onFailedAttempt: ({ retriesLeft }) => {
          if (retriesLeft > 0) this.#escalate(job, 'survivors');
        },
      });
      job.error = undefined;
    } catch (error) {
      job.error = messageOf(error);
    }
    this.#finish(job);
  }

  /** Throws while something survives, so that it is tried again. */
  async #attempt(job: Job): Promise<void> {
    const { target, mode } = job;
    job.attempts += 1;
    job.hurry = new AbortController();
    job.termination = undefined;
    this.emit('cleanup:started', { ...identity(target), mode, attempt: job.attempts });
    const limit = Math.max(this.#options.timeout, target.leastTime ?? 0);
    const abandoned = deferred<never>();
    const timers = [
      setTimeout(() => this.#escalate(job, 'timeout'), timerDelay(limit)),
      setTimeout(
        () => abandoned.reject(new Error(`the attempt did not come back within ${limit + ABANDON_AFTER} ms`)),
        timerDelay(limit + ABANDON_AFTER),
      ),
    ];
    for (const timer of timers) timer.unref();
    try {
      job.termination = await Promise.race([target.end({ mode, signal: job.hurry.signal }), abandoned.promise]);
    } catch (error) {
      // p-retry gives up at once on a TypeError; here every failure is tried again.
      throw new Error(messageOf(error), { cause: error });
    } finally {
      for (const timer of timers) clearTimeout(timer);
    }
    const { survivors } = job.termination;
    if (survivors.length > 0) {
      const named = survivors.map(({ pid, command }) => `${pid} (${command})`).join(', ');
      throw new Error(`${survivors.length} of its processes could not be proven dead: ${named}`);
    }
  }

  #escalate(job: Job, reason: EscalationReason): void {
    job.hurry.abort();
    if (job.mode === 'emergency') return;
    job.mode = 'emergency';
    job.escalated = reason;
    this.emit('cleanup:escalated', { ...identity(job.target), reason });
  }

  #finish(job: Job): void {
    const now = performance.now();
    const confirmed = job.error === undefined;
    const report: CleanupReport = {
      ...identity(job.target),
      confirmed,
      attempts: job.attempts,
      escalated: job.escalated,
      waited: Math.round((job.startedAt ?? now) - job.enqueuedAt),
      duration: Math.round(now - job.enqueuedAt),
      termination: job.termination,
      survivors: confirmed ? [] : survivorsOf(job),
      error: job.error,
    };
    job.state = confirmed ? 'finished' : 'failed';
    job.report = report;
    this.#running -= 1;
    this.#forgetOldest(job.target.id);
    this.emit(confirmed ? 'cleanup:finished' : 'cleanup:failed', report);
    job.ended.resolve(report);
    this.#next();
  }

  #forgetOldest(id: string): void {
    this.#ended.push(id);
    const oldest = this.#ended.length > HISTORY ? this.#ended.shift() : undefined;
    // An id that was enqueued again meanwhile is not old.
    if (oldest !== undefined && this.#jobs.get(oldest)?.report !== undefined) this.#jobs.delete(oldest);
  }
}

function identity({ id, name, pid }: CleanupJob): { id: string; name: string; pid: number | undefined } {
  return { id, name, pid };
}

/** A tree of which nothing could be learnt is unproven as a whole. */
function survivorsOf({ target, termination }: Job): CleanupReport['survivors'] {
  if (termination !== undefined && termination.survivors.length > 0) return termination.survivors;
  return target.pid === undefined ? [] : [{ pid: target.pid, command: 'unknown' }];
}

function statusOf({ target, state, mode, attempts, report }: Job): CleanupStatus {
  return { ...identity(target), state, mode, attempts, report };
}
