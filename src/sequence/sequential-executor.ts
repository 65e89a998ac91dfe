import type { Given } from '../config/fields.js';
import {
  type LaneOptions,
  type LaneWatchOptions,
  type ResolvedLane,
  type ResolvedRun,
  type RunFields,
  resolveLane,
  resolveLaneWatch,
  resolveRun,
} from '../config/lane-options.js';
import { snapshot } from '../config/snapshot.js';
import { PoolError, rethrow } from '../errors.js';
import { listenerError, SafeEmitter } from '../events.js';
import { hostGuard } from '../process/guardian/host-guard.js';
import type { Platform } from '../process/platform.js';
import { currentPlatform } from '../process/platforms/current-platform.js';
import { ProcessRegistry } from '../process/process-registry.js';
import { resolveCommand } from '../process/start/command.js';
import type { EndMode } from '../process/termination-report.js';
import { AbortListeners } from '../runtime/abort-listeners.js';
import { type Clock, systemClock } from '../runtime/clock.js';
import { KeepAlive } from '../runtime/keep-alive.js';
import { assertSignalsArrive, handleSignals, ignoreSignals } from '../runtime/signals.js';
import { specOf } from './lanes/command-start.js';
import type { LaneEvents } from './lanes/lane-events.js';
import { LaneFolder } from './lanes/lane-folder.js';
import type { QueuePlace } from './lanes/lane-lock.js';
import type { RunningCommand, RunResult } from './lanes/lane-run.js';
import { type LaneStatus, lookAt, watchLane } from './lanes/lane-status.js';
import { LaneVisit } from './lanes/lane-visit.js';
import { assertOutside } from './lanes/nesting.js';
import { HostHeadroom } from './preflight/host-headroom.js';

/** Options of `run()`. */
export type RunOptions = Omit<Given<RunFields>, 'onWaiting' | 'onStart'> & {
  /** Called when it has to wait, each time its place in the queue or the holder changes, and while `requires` is not met. */
  readonly onWaiting?: ((place: QueuePlace) => void) | undefined;
  /** Called when the command has been started. With `stdio: 'pipe'` it gets the streams, and must read them. */
  readonly onStart?: ((running: RunningCommand) => void) | undefined;
};

/**
 * Runs commands that must never run at the same time: of all processes of this user on this machine that name the same lane, one
 * runs its command, and the others wait in the order in which they came. There is no daemon. When the process that holds the
 * lane dies, whatever the cause, the tree of its command is ended and proven dead before the next one begins.
 *
 * Processes of different users do not meet, nor do those that do not see the same `/tmp` (containers, `PrivateTmp=`). Needs Unix
 * sockets: Linux, macOS. Its events are {@link LaneEvents}. Issue 13.
 */
export class SequentialExecutor extends SafeEmitter<LaneEvents> {
  readonly #options: ResolvedLane;
  readonly #clock: Clock;
  readonly #platform: Platform;
  readonly #folder: LaneFolder;
  readonly #host: HostHeadroom;
  /** The commands that run now. */
  readonly registry: ProcessRegistry;
  readonly #visits = new Set<LaneVisit>();
  readonly #signals = new AbortListeners<LaneVisit>();
  /** The calls take their places in the order in which they were made. */
  #arrival: Promise<unknown> = Promise.resolve();
  #isClosed = false;

  /**
   * @param clock the source of time. Default: the monotonic clock of Node and its timers
   * @throws PoolError `INVALID_OPTIONS` that lists every problem; `NOT_SUPPORTED` on this system, and with `handleSignals` in a
   * worker thread; `LANE_UNAVAILABLE` when the path of `folder` is too long for a socket
   */
  constructor(options: LaneOptions, clock: Clock = systemClock) {
    super();
    this.#options = resolveLane(snapshot(options, 'the options of SequentialExecutor'));
    this.#clock = clock;
    this.#host = new HostHeadroom(clock);
    if (this.#options.handleSignals) assertSignalsArrive();
    this.#platform = currentPlatform();
    this.registry = new ProcessRegistry(this.#platform.table);
    this.#folder = new LaneFolder(this.#options.lane, this.#options.folder);
    hostGuard(this.#platform).configure({}, true);
  }

  /** Name of the lane. */
  get lane(): string {
    return this.#options.lane;
  }

  /**
   * Waits until the lane is free and all that came before have had their turn, and runs a command. Without a `signal` it waits as
   * long as it takes. Ends the whole tree of the command, and resolves, whatever became of it: also after an exit code other than
   * 0, a limit, or an abort. While it is pending it keeps this process alive.
   *
   * @param command a program, by its path or by PATH; no shell reads it
   * @throws PoolError when nothing was started: `INVALID_OPTIONS` that lists every problem, `LANE_NESTED`, `LANE_UNAVAILABLE`,
   * `LANE_ABORTED`, `REQUIREMENTS_UNMET` with `onUnmet: 'fail'`, and those of a start (`COMMAND_NOT_FOUND`, `CWD_NOT_FOUND`, `SPAWN_FAILED`, …)
   */
  async run(command: string, args: readonly string[] = [], options: RunOptions = {}): Promise<RunResult> {
    const run = resolveRun(command, args, options);
    // Before it waits, perhaps for hours.
    resolveCommand(specOf(run, {}));
    assertOutside(this.#folder, this.lane, this.#platform.marks);
    if (this.#isClosed)
      throw new PoolError('LANE_ABORTED', `lane '${this.lane}': shutdown() was called`, { name: this.lane });
    const keepAlive = new KeepAlive();
    try {
      return await rethrow(keepAlive.during(this.#complete(this.#visit(run))));
    } finally {
      keepAlive.dispose();
    }
  }

  /**
   * The holder of the lane and those that wait for it, also of other processes. Takes no place in it.
   * @throws PoolError `LANE_UNAVAILABLE`
   */
  async status(): Promise<LaneStatus> {
    const { status, links } = await lookAt(this.#folder, this.lane);
    for (const link of links) link.close();
    return status;
  }

  /**
   * The status now, and each time it has changed, until `signal` is aborted or the loop is left:
   * `for await (const { holder, queue } of lane.watch())`. It keeps this process alive.
   * @throws PoolError `INVALID_OPTIONS`, `LANE_UNAVAILABLE`
   */
  async *watch(options: LaneWatchOptions = {}): AsyncGenerator<LaneStatus, void, void> {
    const resolved = resolveLaneWatch(options);
    yield* watchLane(this.#folder, this.lane, resolved);
  }

  /**
   * Ends the trees of all commands of this executor, and the waits of all its calls, whose results say `abort`, or `LANE_ABORTED`. From
   * now on `run()` is refused. Resolves when nothing of them is left, and the guardian has ended, if nothing else needs it.
   * @param mode `graceful` (default): SIGTERM, then SIGKILL after `termGrace`. `emergency`: SIGKILL at once
   */
  async shutdown({ mode = 'graceful' }: { readonly mode?: EndMode } = {}): Promise<void> {
    this.#isClosed = true;
    const visits = [...this.#visits];
    for (const visit of visits) visit.stop(new Error('shutdown() was called'), mode);
    const ended = Promise.all(visits.map(({ left }) => left)).then(() => hostGuard(this.#platform).settled());
    // Also until the guardian has ended, which may be stopped.
    const keepAlive = new KeepAlive();
    await keepAlive.during(ended).finally(() => keepAlive.dispose());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown();
  }

  override toJSON(): object {
    return { lane: this.lane, calls: this.#visits.size };
  }

  #visit(run: ResolvedRun): LaneVisit {
    const { lane } = this;
    const { command } = run;
    return new LaneVisit(run, {
      lane,
      folder: this.#folder,
      platform: this.#platform,
      clock: this.#clock,
      host: this.#host,
      registry: this.registry,
      signals: this.#signals,
      onWaiting: (place) => {
        this.#call('onWaiting', run.onWaiting, place);
        this.emit('lane:waiting', { lane, command, ...place });
      },
      onStart: (running, waited) => {
        this.#call('onStart', run.onStart, running);
        this.emit('lane:started', { lane, command, pid: running.pid, waited });
      },
      onStalled: (pid, idle) => void this.emit('lane:stalled', { lane, command, pid, idle }),
      onLeft: (left) => void this.emit('lane:reaped', { lane, ...left }),
    });
  }

  async #complete(visit: LaneVisit): Promise<RunResult> {
    if (this.#options.handleSignals && this.#visits.size === 0) handleSignals(this);
    this.#visits.add(visit);
    const arrived = this.#arrival.then(() => visit.arrive());
    this.#arrival = arrived.catch(() => {});
    try {
      await arrived;
      const { result, pid } = await visit.run();
      const { stdout, stderr, truncated, ...rest } = result;
      this.emit('lane:ended', { lane: this.lane, command: visit.command, pid, ...rest });
      return result;
    } finally {
      visit.leave();
      this.#visits.delete(visit);
      if (this.#visits.size === 0) ignoreSignals(this);
    }
  }

  #call<T>(name: string, callback: ((value: never) => void) | undefined, value: T): void {
    const report = (error: unknown) => void this.emit('listener:error', listenerError(name, error));
    try {
      // An async function rejects, and without this the host would end by that.
      void Promise.resolve(callback?.(value as never)).catch(report);
    } catch (error) {
      report(error);
    }
  }
}
