import pRetry from 'p-retry';
import { readLabel } from '../config/arguments.js';
import { type CleanupOptions, resolveCleanupOptions } from '../config/call-options.js';
import { messageOf } from '../errors.js';
import { SafeEmitter } from '../events.js';
import { timerDelay } from '../runtime/clock.js';
import { type Deferred, deferred } from '../runtime/deferred.js';
import type { Outbox } from '../runtime/outbox.js';
import {
  assertCleanupJob,
  type CleanupEvents,
  type CleanupJob,
  type CleanupReport,
  type CleanupStatus,
  type EscalationReason,
} from './cleanup-job.js';
import type { EndMode, TerminationReport } from './termination-report.js';
import { ToldSteps } from './told-steps.js';

export type { CleanupEvents, CleanupJob, CleanupReport, CleanupStatus, EscalationReason } from './cleanup-job.js';

/** What is left of a job when it has ended: nothing that leads to its server, or to what was read of the machine. */
interface Ended {
  readonly status: CleanupStatus;
}

interface Job {
  readonly status?: undefined;
  readonly identity: Pick<CleanupReport, 'id' | 'name' | 'pid'>;
  readonly enqueuedAt: number;
  startedAt: number | undefined;
  state: CleanupStatus['state'];
  mode: EndMode;
  attempts: number;
  escalated: EscalationReason | undefined;
  /** Sends the running attempt to SIGKILL. */
  hurry: AbortController;
  termination: TerminationReport | undefined;
  error: string | undefined;
  readonly ended: Deferred<CleanupReport>;
}

/** Backoff between attempts, ms: 100, 200, 400, … */
const FIRST_BACKOFF = 100;
const LONGEST_BACKOFF = 5_000;
/** How long an attempt may take after its deadline, with SIGKILL, ms; then it is given up. */
const ABANDON_AFTER = 5_000;
/** How many ended jobs keep their status. */
const HISTORY = 200;
/** How many survivors the status of an ended job keeps, and how many its error names: a tree may have thousands. */
const MOST_KEPT = 100;
const MOST_NAMED = 10;

/**
 * Ends process trees, a bounded number at once. Each attempt has a deadline, failed attempts are repeated with
 * exponential backoff, and each job has a report. Works without a pool: anything with an `end()` can be enqueued. Its
 * timers do not keep the host alive.
 */
export class CleanupQueue extends SafeEmitter<CleanupEvents> {
  readonly #options: ReturnType<typeof resolveCleanupOptions>;
  readonly #jobs = new Map<string, Job | Ended>();
  readonly #waiting: { readonly job: Job; readonly target: CleanupJob }[] = [];
  readonly #ended: string[] = [];
  #running = 0;
  #idle: Deferred<void> | undefined;

  /**
   * @param outbox of a pool, which delivers the events
   * @throws PoolError `INVALID_OPTIONS`
   */
  constructor(options: CleanupOptions = {}, outbox?: Outbox) {
    super(outbox);
    this.#options = resolveCleanupOptions(options);
  }

  /** How many jobs wait or run. */
  get size(): number {
    return this.#waiting.length + this.#running;
  }

  /**
   * Ends a tree as soon as fewer than `concurrency` jobs run. Never rejects: the report says what survived. If a job
   * with this id waits or runs already, the call joins it, and with `emergency` sends it to SIGKILL.
   * @throws PoolError `INVALID_OPTIONS` when the target has no id or no `end()`, or the mode is not known
   */
  enqueue(target: CleanupJob, mode: EndMode = 'graceful'): Promise<CleanupReport> {
    try {
      assertCleanupJob(target, mode);
    } catch (error) {
      return Promise.reject(error);
    }
    const known = this.#jobs.get(target.id);
    if (known !== undefined && known.status === undefined) {
      if (mode === 'emergency') this.#escalate(known, 'asked');
      return known.ended.promise;
    }
    const { id, name, pid } = target;
    const job: Job = {
      identity: { id, name, pid },
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
    };
    this.#jobs.set(id, job);
    // An emergency takes milliseconds, so it does not wait for the graces of other jobs.
    if (mode === 'emergency') this.#waiting.unshift({ job, target });
    else this.#waiting.push({ job, target });
    this.#next();
    return job.ended.promise;
  }

  /**
   * Sends a waiting or running job to SIGKILL at once; `escalate()` sends all of them.
   * @throws PoolError `INVALID_OPTIONS` when an id is given that is undefined, or no string
   */
  escalate(...given: [id?: string]): void {
    const jobs =
      given.length === 0 ? [...this.#jobs.values()] : [this.#jobs.get(readLabel(given[0], 'id', 'escalate()'))];
    for (const job of jobs) if (job !== undefined && job.status === undefined) this.#escalate(job, 'asked');
  }

  /** The state of a job that waits, runs, or is one of the last 200 that ended. */
  status(id: string): CleanupStatus | undefined {
    const job = this.#jobs.get(id);
    return job && (job.status ?? statusOf(job));
  }

  /** The states of all these jobs, oldest first. */
  list(): CleanupStatus[] {
    return [...this.#jobs.values()].map((job) => job.status ?? statusOf(job));
  }

  override toJSON(): object {
    return { waiting: this.#waiting.length, running: this.#running, ended: this.#ended.length };
  }

  /** Resolves when no job waits or runs. */
  whenIdle(): Promise<void> {
    if (this.size === 0) return Promise.resolve();
    this.#idle ??= deferred<void>();
    return this.#idle.promise;
  }

  #next(): void {
    while (this.#running < this.#options.concurrency) {
      const next = this.#waiting.shift();
      if (next === undefined) break;
      const { job, target } = next;
      this.#running += 1;
      job.state = 'running';
      job.startedAt = performance.now();
      void this.#run(job, target);
    }
    if (this.size > 0) return;
    this.#idle?.resolve();
    this.#idle = undefined;
  }

  async #run(job: Job, target: CleanupJob): Promise<void> {
    try {
      await pRetry(() => this.#attempt(job, target), {
        retries: this.#options.retries,
        minTimeout: FIRST_BACKOFF,
        maxTimeout: LONGEST_BACKOFF,
        unref: true,
        // A tree that has survived one ladder gets no second round of graces.
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

  /** Throws while a process survives, so that p-retry repeats it. */
  async #attempt(job: Job, target: CleanupJob): Promise<void> {
    const { mode } = job;
    job.attempts += 1;
    job.hurry = new AbortController();
    job.termination = undefined;
    this.emit('cleanup:started', { ...job.identity, mode, attempt: job.attempts });
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
    const attempt = job.attempts;
    const steps = new ToldSteps((signal, processes) =>
      this.emit('signal:sent', { ...job.identity, attempt, signal, processes }),
    );
    const how = { mode, signal: job.hurry.signal, onStep: steps.take };
    try {
      job.termination = await Promise.race([target.end(how), abandoned.promise]);
      steps.complete(job.termination);
    } catch (error) {
      // p-retry does not repeat after a TypeError; here every failure is repeated.
      throw new Error(messageOf(error), { cause: error });
    } finally {
      for (const timer of timers) clearTimeout(timer);
    }
    const { survivors } = job.termination;
    if (survivors.length > 0) {
      const named = survivors
        .slice(0, MOST_NAMED)
        .map(({ pid, command, reason }) => `${pid} (${command}${reason ? `; ${reason}` : ''})`)
        .join(', ');
      const others = survivors.length > MOST_NAMED ? `, and ${survivors.length - MOST_NAMED} more` : '';
      throw new Error(`${survivors.length} of its processes could not be proven dead: ${named}${others}`);
    }
  }

  #escalate(job: Job, reason: EscalationReason): void {
    job.hurry.abort();
    if (job.mode === 'emergency') return;
    job.mode = 'emergency';
    job.escalated = reason;
    this.emit('cleanup:escalated', { ...job.identity, reason });
  }

  #finish(job: Job): void {
    const now = performance.now();
    const confirmed = job.error === undefined;
    const report: CleanupReport = {
      ...job.identity,
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
    this.#running -= 1;
    this.#keep(job, report);
    this.emit(confirmed ? 'cleanup:finished' : 'cleanup:failed', report);
    job.ended.resolve(report);
    this.#next();
  }

  #keep(job: Job, report: CleanupReport): void {
    const { id } = job.identity;
    this.#jobs.set(id, { status: statusOf(job, shortened(report)) });
    this.#ended.push(id);
    const oldest = this.#ended.length > HISTORY ? this.#ended.shift() : undefined;
    // Unless the id was enqueued again meanwhile.
    if (oldest !== undefined && this.#jobs.get(oldest)?.status !== undefined) this.#jobs.delete(oldest);
  }
}

/** Without a report the whole tree counts as unproven: the leader stands for it. */
function survivorsOf({ identity: { pid }, termination }: Job): CleanupReport['survivors'] {
  if (termination !== undefined && termination.survivors.length > 0) return termination.survivors;
  return pid === undefined ? [] : [{ pid, command: 'unknown' }];
}

function statusOf({ identity, state, mode, attempts }: Job, report?: CleanupReport): CleanupStatus {
  return { ...identity, state, mode, attempts, report };
}

function shortened(report: CleanupReport): CleanupReport {
  const { survivors, termination } = report;
  if (survivors.length <= MOST_KEPT) return report;
  const kept = survivors.slice(0, MOST_KEPT);
  return { ...report, survivors: kept, termination: termination && { ...termination, survivors: kept } };
}
