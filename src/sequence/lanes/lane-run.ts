import type { Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import type { ResolvedRun, RunLimits } from '../../config/lane-options.js';
import { errnoOf, messageOf } from '../../errors.js';
import type { ExitInfo, ServerProcess } from '../../process/launcher.js';
import type { EndMode, Survivor } from '../../process/termination-report.js';
import { type Clock, type Timer, timerDelay } from '../../runtime/clock.js';
import { type Deferred, deferred } from '../../runtime/deferred.js';
import { rest } from '../../runtime/rest.js';
import { HandedOutput } from './handed-output.js';
import { OutputTail } from './output-tail.js';
import { exceededBy, FIRST_PEAK, higher, type RunPeak } from './run-limits.js';
import { type Progress, StallWatch } from './stall.js';

/**
 * Why a command ended. `exit`: by itself. `signal`: by a signal that came from elsewhere. `limit`: it was over one of its `limits`.
 * `abort`: by its `signal`, by `shutdown()`, or by a signal to this process. `stall`: it was stalled.
 */
export type RunEnd = 'exit' | 'signal' | 'limit' | 'abort' | 'stall';

/** What became of a command. */
export interface RunResult {
  /** Null when a signal ended it. */
  readonly exitCode: number | null;
  /** Null when it exited. */
  readonly signal: string | null;
  /** Why it ended. */
  readonly endedBy: RunEnd;
  /** The limit that it was over; undefined unless `endedBy` is `limit`. */
  readonly limit: keyof RunLimits | undefined;
  /** The most that was measured of its tree. */
  readonly peak: RunPeak;
  /** How long it waited for its turn, ms. */
  readonly waited: number;
  /** From its start until its whole tree was dead, ms. */
  readonly duration: number;
  /** What it wrote, with `stdio: 'capture'`. */
  readonly stdout?: string;
  readonly stderr?: string;
  /** Whether only the end of one of these was kept, with `stdio: 'capture'`. */
  readonly truncated?: boolean;
  /** Processes that could not be ended. The lane is not given on before they are dead. */
  readonly survivors: readonly Survivor[];
}

/** A command that has been started. */
export interface RunningCommand {
  readonly pid: number | undefined;
  /** With `stdio: 'pipe'`. The command blocks when `stdout` and `stderr` are not read. */
  readonly stdin?: Writable;
  readonly stdout?: Readable;
  readonly stderr?: Readable;
}

export interface RunParts {
  readonly run: ResolvedRun;
  readonly clock: Clock;
  /** For how long it has done nothing, ms. Must not throw. */
  onStalled(idle: number): void;
}

/** Ms between two samples, at first and at most: a command that is too large is so at once, or slowly. */
const FIRST_SAMPLE = 20;
const LONGEST_SAMPLE = 500;
/** How often the end of a tree is tried when the process table cannot be read. */
const MOST_TRIES = 5;
const MB = 1_048_576;

/** One command from its start until its whole tree is dead. */
export class LaneRun {
  readonly #parts: RunParts;
  readonly #exited = deferred<ExitInfo>();
  /** Why it is ended, if it does not end by itself. */
  readonly #stopped: Deferred<RunEnd> = deferred();
  /** Aborted: no more patience. */
  readonly #hurry = new AbortController();
  readonly #timers = new Set<Timer>();
  readonly #handed: HandedOutput[] = [];
  #process: ServerProcess | undefined;
  #mode: EndMode = 'graceful';
  #limit: RunResult['limit'];
  #peak = FIRST_PEAK;
  #isEnding = false;
  #isOver = false;

  constructor(parts: RunParts) {
    this.#parts = parts;
  }

  exited(exit: ExitInfo): void {
    for (const output of this.#handed) output.exited();
    this.#exited.resolve(exit);
  }

  /** What the host gets of the command, once. */
  handOn({ pid, stdin, stdout, stderr }: ServerProcess): RunningCommand {
    if (this.#parts.run.stdio !== 'pipe') return { pid };
    const hand = (source: Readable) => {
      const output = new HandedOutput(source);
      this.#handed.push(output);
      return output.readable;
    };
    return { pid, stdin, stdout: hand(stdout), ...(stderr ? { stderr: hand(stderr) } : {}) };
  }

  /** Ends it before it ends by itself. The second call may only hurry. */
  stop(why: RunEnd, mode: EndMode = 'graceful'): void {
    if (mode === 'emergency') {
      this.#mode = mode;
      this.#hurry.abort();
    }
    this.#stopped.resolve(why);
  }

  /**
   * Watches over a command that was started, until its tree is dead. Never rejects.
   * @param waited how long it had waited for its turn, ms
   */
  async follow(process: ServerProcess, waited: number): Promise<RunResult> {
    this.#process = process;
    const { run, clock } = this.#parts;
    const started = clock.now();
    const output = run.stdio === 'capture' ? this.#capture(process) : undefined;
    this.#watch(started);
    const exited = this.#exited.promise.then((exit) => ({ exit, why: undefined }));
    const { why } = await Promise.race([exited, this.#stopped.promise.then((end) => ({ exit: undefined, why: end }))]);
    this.#isEnding = true;
    await this.#measure();
    // Samples go on: what is over its limit may grow until it is killed.
    const survivors = await this.#end(process);
    this.#isOver = true;
    for (const timer of this.#timers) timer.cancel();
    const exit = survivors.length === 0 ? await this.#exited.promise : await this.#exitSoFar();
    await process.drained();
    return {
      exitCode: exit.exitCode,
      signal: exit.signal,
      endedBy: why ?? (exit.signal === null ? 'exit' : 'signal'),
      limit: why === 'limit' ? this.#limit : undefined,
      peak: this.#peak,
      waited,
      duration: Math.round(clock.now() - started),
      ...output?.(),
      survivors,
    };
  }

  #capture({ stdin, stdout, stderr }: ServerProcess) {
    stdin.end();
    const limit = this.#parts.run.captureMB * MB;
    const [out, err] = [new OutputTail(stdout, limit), new OutputTail(stderr, limit)];
    return () => ({ stdout: out.toString(), stderr: err.toString(), truncated: out.isCut || err.isCut });
  }

  /** A leader that is a survivor has not exited. */
  #exitSoFar(): Promise<ExitInfo> {
    return Promise.race([this.#exited.promise, rest(0).then(() => ({ exitCode: null, signal: null }))]);
  }

  #watch(started: number): void {
    const { limits, stalledAfter } = this.#parts.run;
    if (limits.time !== Infinity) this.#watchTime(limits.time);
    const sample = (interval: number) =>
      this.#after(interval, async () => {
        const usage = await this.#measure();
        const limit = usage && exceededBy(usage, limits);
        if (limit !== undefined) this.#exceed(limit);
        sample(Math.min(interval * 2, LONGEST_SAMPLE));
      });
    sample(FIRST_SAMPLE);
    if (stalledAfter !== Infinity) this.#watchStalls(new StallWatch(stalledAfter, started));
  }

  /** @param left of its time, ms: perhaps more than one timer can have */
  #watchTime(left: number): void {
    const part = timerDelay(left);
    this.#after(part, () => (left > part ? this.#watchTime(left - part) : this.#exceed('time')));
  }

  #watchStalls(watch: StallWatch): void {
    const { run, clock, onStalled } = this.#parts;
    const look = async () => {
      const progress = await this.#progress();
      const idle = progress && watch.see(clock.now(), progress);
      if (idle !== undefined && !this.#isEnding) {
        onStalled(Math.round(idle));
        if (run.whenStalled === 'end') this.stop('stall');
      }
      this.#after(watch.interval, look);
    };
    this.#after(0, look);
  }

  /** Undefined when nothing can be measured now. */
  async #progress(): Promise<Progress | undefined> {
    try {
      if (this.#parts.run.stdio === 'inherit') {
        const { cpuTime, ioBytes = 0 } = (await this.#process?.activity?.()) ?? { cpuTime: 0 };
        return { cpuTime, bytes: ioBytes };
      }
      const usage = await this.#process?.usage?.();
      const streams = [this.#process?.stdout, this.#process?.stderr] as (Partial<Socket> | undefined)[];
      const bytes = streams.reduce((sum, stream) => sum + (stream?.bytesRead ?? 0), 0);
      return { cpuTime: usage?.cpuTime ?? 0, bytes };
    } catch {
      // EMFILE.
      return undefined;
    }
  }

  #exceed(limit: NonNullable<RunResult['limit']>): void {
    this.#limit ??= limit;
    this.stop('limit');
  }

  /** Nothing is done any more when it is over. */
  #after(delay: number, task: () => void | Promise<void>): void {
    if (this.#isOver) return;
    const timer = this.#parts.clock.after(delay, () => {
      this.#timers.delete(timer);
      void task();
    });
    this.#timers.add(timer);
  }

  async #measure() {
    try {
      const usage = await this.#process?.usage?.();
      if (usage) this.#peak = higher(this.#peak, usage);
      return usage;
    } catch {
      // EMFILE. The next sample shows it.
      return undefined;
    }
  }

  /** Ends the whole tree, also what a command that has exited had left behind. */
  async #end(process: ServerProcess): Promise<readonly Survivor[]> {
    for (let tries = 1; ; tries++) {
      try {
        return (await process.end({ mode: this.#mode, signal: this.#hurry.signal })).survivors;
      } catch (error) {
        const reason = `its processes cannot be read: ${errnoOf(error) ?? messageOf(error)}`;
        if (tries === MOST_TRIES) return [{ pid: process.pid ?? 0, command: this.#parts.run.command, reason }];
        await rest(100 * 2 ** tries);
      }
    }
  }
}
