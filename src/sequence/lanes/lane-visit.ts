import type { ResolvedRun } from '../../config/lane-options.js';
import { messageOf, PoolError, type UnmetRequirement } from '../../errors.js';
import { isLocal, type ServerProcess } from '../../process/launcher.js';
import { nextInstanceMark } from '../../process/marks/marker.js';
import type { Platform } from '../../process/platform.js';
import type { ProcessRegistry, RegistryEntry } from '../../process/process-registry.js';
import { identify, type ProcessIdentity } from '../../process/process-table.js';
import type { EndMode } from '../../process/termination-report.js';
import type { AbortListeners } from '../../runtime/abort-listeners.js';
import type { Clock } from '../../runtime/clock.js';
import { deferred } from '../../runtime/deferred.js';
import { awaitRequirements } from '../preflight/await-requirements.js';
import type { HeadroomReader } from '../preflight/host-headroom.js';
import { makeReady, probe, specOf, startCommand } from './command-start.js';
import { type LaneMember, removeFile, removeLitter, runName } from './lane-files.js';
import type { LaneFolder } from './lane-folder.js';
import { type LaneTurn, type QueuePlace, takeTicket, waitForTurn } from './lane-lock.js';
import { LaneRun, type RunningCommand, type RunResult } from './lane-run.js';
import { endLeftovers, type LeftTree } from './leftovers.js';
import { nestingVariable } from './nesting.js';
import { writeRun } from './run-record.js';

export interface VisitParts {
  readonly lane: string;
  readonly folder: LaneFolder;
  readonly platform: Platform;
  readonly clock: Clock;
  readonly host: HeadroomReader;
  readonly registry: ProcessRegistry;
  readonly signals: AbortListeners<LaneVisit>;
  // None of these may throw.
  onWaiting(place: QueuePlace): void;
  /** @param waited ms */
  onStart(running: RunningCommand, waited: number): void;
  /** @param idle ms */
  onStalled(pid: number | undefined, idle: number): void;
  onLeft(left: LeftTree): void;
}

/** Ms from the start of a command until those that wait are told which one holds the lane. */
const NEWS_DELAY = 50;

/** One call of `run()`: it arrives in the lane, waits, runs its command, and leaves. */
export class LaneVisit {
  readonly command: string;
  /** Resolves when it has left. */
  readonly left: Promise<void>;
  readonly #run: ResolvedRun;
  readonly #parts: VisitParts;
  readonly #leaving = deferred<void>();
  readonly #abort = new AbortController();
  readonly #arrivedAt: number;
  #mode: EndMode = 'graceful';
  #hasProbed = false;
  /** Gives back what was made ready. */
  #giveBack: (() => void) | undefined;
  #turn: LaneTurn | undefined;
  #running: LaneRun | undefined;

  constructor(run: ResolvedRun, parts: VisitParts) {
    this.#run = run;
    this.#parts = parts;
    this.command = run.command;
    this.left = this.#leaving.promise;
    this.#arrivedAt = parts.clock.now();
    const { signal } = run;
    if (signal) parts.signals.add(signal, this, (reason) => this.stop(reason));
    if (signal?.aborted) this.stop(signal.reason);
  }

  /** Ends its wait, or its command. */
  stop(reason: unknown, mode: EndMode = 'graceful'): void {
    if (mode === 'emergency') this.#mode = mode;
    this.#abort.abort(reason);
    this.#running?.stop('abort', this.#mode);
  }

  /** Takes its place in the queue. */
  async arrive(): Promise<void> {
    this.#assertWanted();
    this.#turn = await takeTicket(this.#parts.folder, this.#member());
  }

  /** @throws PoolError when nothing was started */
  async run(): Promise<{ readonly result: RunResult; readonly pid: number | undefined }> {
    const { folder, clock, platform, onLeft } = this.#parts;
    const turn = this.#turn as LaneTurn;
    const { signal } = this.#abort;
    try {
      await waitForTurn(folder, turn, { clock, signal, onPlace: (place) => this.#wait(place) });
      await endLeftovers(folder, turn.id, { platform, signal, onLeft });
      removeLitter(folder, Date.now());
      await this.#awaitHost(turn);
    } catch (error) {
      this.#assertWanted();
      // EMFILE: what an earlier holder has left cannot be seen.
      throw error instanceof PoolError ? error : folder.refuse(messageOf(error), error);
    }
    this.#assertWanted();
    return this.#start(turn);
  }

  /** Call it at the end, whatever has happened. */
  leave(): void {
    if (this.#run.signal) this.#parts.signals.delete(this.#run.signal, this);
    this.#turn?.leave();
    this.#giveBack?.();
    this.#leaving.resolve();
  }

  /** A start takes longest when it is the first one of its process. While it waits there is time for that. */
  #wait(place: QueuePlace): void {
    const { platform, onWaiting } = this.#parts;
    onWaiting(place);
    if (!this.#hasProbed) probe(platform);
    this.#hasProbed = true;
    // Not earlier: of a long queue each would have a guardian.
    if (place.position <= 1) this.#giveBack ??= makeReady(platform);
  }

  /** It is the holder, but the host may lack what its command requires. */
  #awaitHost(turn: LaneTurn): Promise<void> {
    const { clock, host } = this.#parts;
    const { requires, onUnmet } = this.#run;
    const holder = this.#member();
    let isFirst = true;
    return awaitRequirements({
      ...{ requires, onUnmet, host, clock, signal: this.#abort.signal },
      about: { name: this.command, kind: 'command' },
      onWaiting: (unmet: readonly UnmetRequirement[]) => {
        this.#wait({ position: 0, holder, unmet });
        // Once: it wakes all that wait, and they learn which one holds the lane.
        if (isFirst) turn.tell();
        isFirst = false;
      },
    });
  }

  async #start(turn: LaneTurn) {
    const { folder, platform, clock, registry, onStart, onStalled } = this.#parts;
    const waited = Math.round(clock.now() - this.#arrivedAt);
    const mark = nextInstanceMark();
    const holder = this.#member();
    let known: readonly ProcessIdentity[] = [];
    const write = () => writeRun(folder, turn.id, holder, mark, known);
    const spawned = deferred<void>();
    // Handled below; it must not count as unhandled if the start throws before.
    spawned.promise.catch(() => {});
    let process: ServerProcess;
    let entry: RegistryEntry | undefined;
    const running = new LaneRun({ run: this.#run, clock, onStalled: (idle) => onStalled(process.pid, idle) });
    try {
      // Before the start: whatever happens to this process from now on, the next holder finds the tree.
      this.#write(() => write());
      const spec = specOf(this.#run, nestingVariable(folder, turn.id), mark);
      process = startCommand(
        platform,
        spec,
        {
          onSpawn: () => spawned.resolve(),
          onSpawnError: (error) => spawned.reject(error),
          onExit: (exit) => running.exited(exit),
          onStderrLine: () => {},
          wantsStderr: () => false,
        },
        () => write(),
      );
      if (isLocal(process.identity)) {
        entry = registry.add({ name: this.command, ...process.identity });
        known = [process.identity];
        if (platform.marks) attempt(write);
        else this.#write(write);
      }
      await spawned.promise;
    } catch (error) {
      // Perhaps something ran for a moment: what is written down is ended, as after the death of a holder, and forgotten.
      if (entry) registry.remove(entry.id);
      // What cannot be looked at now (EMFILE) stays written down for the next holder.
      await endLeftovers(folder, undefined, { platform, signal: new AbortController().signal, onLeft() {} }).catch(
        () => {},
      );
      throw error;
    }
    this.#running = running;
    // Later: it wakes all that wait, one after the other, and the command is to begin first. A short one need not be told.
    const news = clock.after(NEWS_DELAY, () => turn.tell());
    const result = running.follow(process, waited);
    if (this.#abort.signal.aborted) running.stop('abort', this.#mode);
    onStart(running.handOn(process), waited);
    const { survivors } = await result;
    news.cancel();
    if (entry) registry.remove(entry.id);
    if (survivors.length === 0) removeFile(folder, runName(turn.id));
    else {
      // It stays: the next holder waits for their end.
      known = [...known, ...survivors.flatMap(({ pid }) => identityOf(platform, pid) ?? [])];
      attempt(write);
    }
    // The shell that sets its limits could not become the command.
    const { refusal } = process;
    if (refusal) throw new PoolError(refusal.code, `command '${this.command}' could not be started: ${refusal.reason}`);
    return { result: await result, pid: process.pid };
  }

  #write(write: () => void): void {
    const { folder } = this.#parts;
    try {
      write();
    } catch (error) {
      folder.refuse(`${folder.path}: what is to be started cannot be written down: ${messageOf(error)}`, error);
    }
  }

  #member(): LaneMember {
    return { pid: process.pid, command: this.command, since: Date.now() };
  }

  #assertWanted(): void {
    const { signal } = this.#abort;
    if (!signal.aborted) return;
    const { lane, clock } = this.#parts;
    const after = Math.round(clock.now() - this.#arrivedAt);
    throw new PoolError(
      'LANE_ABORTED',
      `lane '${lane}': '${this.command}' was given up after it had waited for ${after} ms; it was not started`,
      { name: lane, after },
      signal.reason,
    );
  }
}

/** ENOSPC, EMFILE: the command runs already, and its tree is found by its marks. */
function attempt(write: () => void): void {
  try {
    write();
  } catch {}
}

function identityOf({ table }: Platform, pid: number): ProcessIdentity | undefined {
  const startTime = identify(table, pid);
  return startTime === undefined ? undefined : { pid, startTime };
}
