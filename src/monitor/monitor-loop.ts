import type { ResolvedMonitoring } from '../config/monitoring-options.js';
import { errnoOf, messageOf } from '../errors.js';
import { HostSampler } from '../process/host/host-sampler.js';
import type { Timer } from '../runtime/clock.js';
import { turnsOfEventLoop } from '../runtime/event-loop.js';
import { AskedTrees } from './asked-trees.js';
import { Assessment, type Measurement, MOST_UNKNOWN } from './assessment.js';
import { Consequences, type Counts, type Done, type Emit } from './consequences.js';
import { FolderWatch } from './folder-watch.js';
import type { Level } from './level.js';
import type { Enforcer, TreeSource } from './monitored-host.js';
import type { ResourceSample, TreeSample } from './resource-sample.js';
import { sampleInterval } from './sample-interval.js';

const CONSEQUENCES = {
  trees: 'some trees are not measured, and their limits are not watched',
  unclaimed: 'processes of no living tree are counted as they were before',
  sample: 'no sample was taken',
} as const;

/** Why something could not be measured. */
interface Failure {
  readonly error: unknown;
}

/**
 * Measures process trees and the host, again and again, and emits what it finds. Alone it only reports. That of a pool has the
 * pool do what follows; with `dryRun` it only reports what that would be.
 */
export class MonitorLoop {
  readonly #settings: ResolvedMonitoring;
  readonly #source: TreeSource;
  readonly #emit: Emit;
  readonly #sampler: HostSampler;
  readonly #asked: AskedTrees;
  readonly #assessment: Assessment;
  readonly #folders: FolderWatch;
  readonly #consequences: Consequences;
  #latest: ResourceSample | undefined;
  #counted: readonly TreeSample[] = [];
  #sampling: Promise<ResourceSample> | undefined;
  /** Until the turn of the event loop is over in which the last sample has ended. */
  #turn: Promise<void> | undefined;
  #timer: Timer | undefined;
  /** `woken`: until no tree is left. `halted`: until the host starts it. */
  #mode: 'idle' | 'woken' | 'started' | 'halted' = 'idle';
  /** Counts stops: what was measured before the last of them has no effect. */
  #run = 0;
  /** Processes of no living tree, when they were counted last. */
  #unclaimed = 0;
  /** Samples in a row that have failed. */
  #failures = 0;
  /** What could not be measured in the last sample. */
  readonly #degraded = new Set<string>();

  constructor(settings: ResolvedMonitoring, source: TreeSource, emit: Emit) {
    this.#settings = settings;
    this.#source = source;
    this.#emit = emit;
    this.#sampler = new HostSampler({ clock: source.clock });
    this.#asked = new AskedTrees(source.clock, settings.interval);
    this.#assessment = new Assessment(settings, source);
    const { folders, dryRun, enabled } = settings;
    const done: Done = (...given) => this.#assessment.done(...given);
    this.#consequences = new Consequences(settings, source.outbox, emit, done);
    this.#folders = new FolderWatch(folders, dryRun, {
      clock: source.clock,
      tell: (notice) => this.#consequences.tellOne(notice),
      mayAct: () => enabled && this.#consequences.mayAct,
    });
  }

  /** From now on `enforcer` does what follows from samples. Folders are watched whether servers run or not. */
  connect(enforcer: Enforcer): void {
    this.#consequences.connect(enforcer);
    if (this.#settings.enabled) this.#folders.start();
  }

  /** How many limits were exceeded, and how much was done, dry runs not counted. */
  get counts(): Readonly<Counts> {
    return this.#consequences.counts;
  }

  /** The last sample; undefined before the first. */
  get latest(): ResourceSample | undefined {
    return this.#latest;
  }

  /** Of the last sample the trees that its totals are of: in a pool those that it has started. */
  get counted(): readonly TreeSample[] {
    return this.#counted;
  }

  start(): void {
    this.#begin('started');
  }

  stop(): void {
    this.#rest('halted');
    this.#endLevel();
  }

  /** Takes a sample now, and does what follows from it. */
  sample(): Promise<ResourceSample> {
    this.#sampling ??= this.#take();
    return this.#sampling;
  }

  /**
   * A server was spawned: bursts are seen at once, not with the next sample, and it samples as long as trees live.
   * @param canMeasure whether a sample can show anything of it; a burst is one in any case
   */
  noteSpawn(name: string, canMeasure: boolean): void {
    const isWaiting = this.#mode === 'idle' && this.#settings.enabled;
    if (!this.#isRunning && !isWaiting) return;
    if (isWaiting && canMeasure) this.#begin('woken');
    const grown = this.#assessment.growth.spawned(this.#source.clock.now(), name);
    if (grown) this.#emit('growth:detected', grown);
  }

  /** The definition of a server has changed: its earlier lives show nothing of the next ones. */
  forgetLives(name: string): void {
    this.#assessment.forgetLives(name);
  }

  /** How far the pool is from what is expected of it. */
  get level(): Level {
    return this.#assessment.level;
  }

  /** The trees that a level would end now, the first first. */
  victimsAt(level: Parameters<Assessment['victimsAt']>[0]): ReturnType<Assessment['victimsAt']> {
    return this.#assessment.victimsAt(level, this.#source.clock.now());
  }

  get #isRunning(): boolean {
    return this.#mode === 'woken' || this.#mode === 'started';
  }

  #begin(mode: 'woken' | 'started'): void {
    const wasRunning = this.#isRunning;
    this.#mode = mode;
    if (wasRunning) return;
    this.#folders.start();
    this.#sampler.start();
    this.#schedule(this.#settings.interval);
  }

  #rest(mode: 'idle' | 'halted'): void {
    const wasRunning = this.#isRunning;
    this.#mode = mode;
    if (mode === 'halted') this.#folders.stop();
    if (!wasRunning) return;
    this.#run += 1;
    this.#timer?.cancel();
    this.#sampler.stop();
    for (const notice of this.#assessment.rest()) this.#consequences.tellOne(notice);
    const isStopped = mode === 'halted';
    this.#consequences.openGate(isStopped ? 'the monitor was stopped' : 'no server lives', isStopped);
  }

  #schedule(delay: number): void {
    this.#timer = this.#source.clock.after(delay, () => void this.#tick());
  }

  async #tick(): Promise<void> {
    const run = this.#run;
    let next = this.#settings.interval;
    try {
      const { trees } = await this.sample();
      if (run !== this.#run) return;
      this.#degraded.delete('sample');
      this.#failures = 0;
      const count = trees.length + this.#source.trees().length;
      // A pool without servers has nothing to measure, and can be garbage-collected.
      if (count === 0 && this.#assessment.isQuiet && this.#mode === 'woken') return this.#rest('idle');
      next = sampleInterval(next, { ...this.#assessment.busyness, trees: count });
    } catch (error) {
      this.#degrade('sample', error);
      this.#failures += 1;
      const isLost = this.#failures >= MOST_UNKNOWN && run === this.#run;
      if (isLost) this.#consequences.openGate(`${this.#failures} samples in a row have failed`);
    }
    if (run === this.#run) this.#schedule(next);
  }

  async #take(): Promise<ResourceSample> {
    const run = this.#run;
    // No answer of a tree needs a turn: a host that samples in a loop would do nothing else.
    if (this.#turn !== undefined) await this.#turn;
    try {
      const measurement = await this.#measure();
      return this.#conclude(measurement, run);
    } finally {
      this.#sampling = undefined;
      this.#turn = turnsOfEventLoop(1).finally(() => {
        this.#turn = undefined;
      });
    }
  }

  async #measure(): Promise<Measurement> {
    const { clock } = this.#source;
    const trees = this.#source.trees();
    const failures: Failure[] = [];
    this.#asked.keep(trees);
    // All in this tick, so that they share one look at the process table.
    const measuring = trees.map(async (tree) => {
      try {
        return { tree, usage: await this.#asked.ask(tree), isKnown: true };
      } catch (error) {
        failures.push({ error });
        return { tree, usage: undefined, isKnown: false };
      }
    });
    const uncounted = this.#countUnclaimed();
    const measured = await Promise.all(measuring);
    const [unmeasured] = failures;
    this.#note('trees', unmeasured);
    // One event is enough for one cause.
    if (!isOneCause(unmeasured, uncounted)) this.#note('unclaimed', uncounted);
    const host = this.#sampler.sample();
    const unclaimed = { unclaimed: this.#unclaimed, isUnclaimedKnown: uncounted === undefined };
    return { at: clock.now(), date: Date.now(), host, trees: measured, ...unclaimed };
  }

  /** Where they cannot be counted just now, those of the last time count: they have not vanished by that. */
  #countUnclaimed(): Failure | undefined {
    try {
      this.#unclaimed = this.#source.unclaimed();
      return undefined;
    } catch (error) {
      return { error };
    }
  }

  #note(part: 'trees' | 'unclaimed', failure: Failure | undefined): void {
    if (failure) this.#degrade(part, failure.error);
    else this.#degraded.delete(part);
  }

  /** Emits what the measurement shows, and has done what follows. @param run in which it was begun: one before has no effect */
  #conclude(measurement: Measurement, run: number): ResourceSample {
    const outcome = this.#assessment.take(measurement);
    this.#latest = outcome.sample;
    this.#counted = outcome.counted;
    const isOfNow = run === this.#run;
    if (isOfNow && this.#isRunning && this.#settings.enabled) this.#consequences.follow(outcome);
    else this.#consequences.tell(outcome);
    // What has had no effect is no level either: the next sample must be able to reach it.
    if (!isOfNow || this.#mode === 'halted') this.#endLevel();
    return outcome.sample;
  }

  #endLevel(): void {
    const change = this.#assessment.reset();
    if (change) this.#consequences.tellOne(change);
  }

  /** Something cannot be measured. Emitted once, until it works again. */
  #degrade(part: 'trees' | 'unclaimed' | 'sample', error: unknown): void {
    if (this.#degraded.has(part)) return;
    this.#degraded.add(part);
    this.#emit('monitor:degraded', { part, reason: messageOf(error), consequence: CONSEQUENCES[part] });
  }
}

function isOneCause(one: Failure | undefined, other: Failure | undefined): boolean {
  const [a, b] = [one, other].map((failure) => failure && (errnoOf(failure.error) ?? messageOf(failure.error)));
  return a !== undefined && a === b;
}
