import type { ResolvedMonitoring } from '../config/monitoring-options.js';
import { messageOf } from '../errors.js';
import { SafeEmitter } from '../events.js';
import type { Timer } from '../runtime/clock.js';
import { Assessment, type Measurement, type Outcome } from './assessment.js';
import type { PoolDeed, StartRules, Told, TreeDeed } from './finding.js';
import { FolderWatch } from './folder-watch.js';
import { HostSampler } from './host/host-sampler.js';
import type { Level } from './level.js';
import type { MonitorEvents } from './monitor-events.js';
import type { Enforcer, TreeSource } from './monitored-host.js';
import type { ResourceSample } from './resource-sample.js';
import { sampleInterval } from './sample-interval.js';

const CONSEQUENCES = {
  trees: 'some trees are not measured, and their limits are not watched',
  strays: 'processes of no living tree are not counted',
  sample: 'no sample was taken',
} as const;
const NO_RULES: StartRules = { shortage: undefined, overload: undefined };

/**
 * Measures process trees and the host, again and again, and emits what it finds. Alone it only reports. That of a pool has the
 * pool do what follows; with `dryRun` it only says what that would be.
 */
export class MonitorLoop extends SafeEmitter<MonitorEvents> {
  readonly #settings: ResolvedMonitoring;
  readonly #source: TreeSource;
  /** Undefined: nothing follows from a sample but events. */
  #enforcer: Enforcer | undefined;
  readonly #sampler: HostSampler;
  readonly #assessment: Assessment;
  readonly #folders: FolderWatch;
  #latest: ResourceSample | undefined;
  #sampling: Promise<ResourceSample> | undefined;
  #timer: Timer | undefined;
  /** `woken`: until no tree is left. */
  #mode: 'stopped' | 'woken' | 'started' = 'stopped';
  #isUndecided = false;
  #rules = NO_RULES;
  /** How many limits were exceeded, and how much was done, dry runs not counted. */
  readonly counts = { violations: 0, actions: 0 };
  /** What could not be measured in the last sample. */
  readonly #degraded = new Set<string>();

  constructor(settings: ResolvedMonitoring, source: TreeSource) {
    super(source.outbox);
    this.#settings = settings;
    this.#source = source;
    this.#sampler = new HostSampler({ clock: source.clock });
    this.#assessment = new Assessment(settings, (sample) => source.limits(sample));
    const { folders, dryRun } = settings;
    this.#folders = new FolderWatch(folders, dryRun, source.clock, (told) => this.#emitTold(told));
  }

  /** From now on `enforcer` does what follows from samples. */
  connect(enforcer: Enforcer): void {
    this.#enforcer = enforcer;
  }

  /** The last sample; undefined before the first. */
  get latest(): ResourceSample | undefined {
    return this.#latest;
  }

  /** Begins to sample: in `interval` from now, and again and again. It never keeps the host alive. */
  start(): void {
    this.#begin('started');
  }

  /** Samples no more. New starts are free again. */
  stop(): void {
    if (this.#mode === 'stopped') return;
    this.#mode = 'stopped';
    this.#timer?.cancel();
    this.#sampler.stop();
    this.#folders.stop();
    this.#setRules(NO_RULES);
  }

  /** Takes a sample now, and does what follows from it. Calls at the same time share one. */
  sample(): Promise<ResourceSample> {
    this.#sampling ??= this.#take();
    return this.#sampling;
  }

  /** A server was spawned: bursts are seen at once, not with the next sample, and it samples as long as trees live. */
  noteSpawn(name: string): void {
    if (!this.#settings.enabled) return;
    this.#begin('woken');
    const grown = this.#assessment.growth.spawned(this.#source.clock.now(), name);
    if (grown) this.emit('growth:detected', grown);
  }

  /** The definition of a server has changed: its earlier lives say nothing of the next ones. */
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

  #begin(mode: 'woken' | 'started'): void {
    const isNew = this.#mode === 'stopped';
    if (isNew || mode === 'started') this.#mode = mode;
    if (!isNew) return;
    this.#sampler.start();
    this.#schedule(this.#settings.interval);
  }

  #schedule(delay: number): void {
    this.#timer = this.#source.clock.after(delay, () => void this.#tick());
  }

  async #tick(): Promise<void> {
    const timer = this.#timer;
    let next = this.#settings.interval;
    try {
      void this.#folders.look();
      await this.sample();
      const { level } = this.#assessment;
      const trees = this.#source.trees().length;
      // A pool without servers has nothing to measure, and can be garbage-collected.
      if (trees === 0 && level === 'normal' && this.#mode === 'woken') this.stop();
      next = sampleInterval(next, { level, trees, isUndecided: this.#isUndecided });
    } catch (error) {
      this.#degrade('sample', error);
    }
    // It may have been stopped meanwhile, and started again.
    if (this.#mode !== 'stopped' && this.#timer === timer) this.#schedule(next);
  }

  async #take(): Promise<ResourceSample> {
    try {
      return this.#conclude(await this.#measure());
    } finally {
      this.#sampling = undefined;
    }
  }

  async #measure(): Promise<Measurement> {
    const { clock } = this.#source;
    const trees = this.#source.trees();
    const failures: unknown[] = [];
    // All in this tick, so that they share one look at the process table.
    const measuring = trees.map(async (tree) => {
      try {
        return { tree, usage: await tree.usage() };
      } catch (error) {
        failures.push(error);
        return { tree, usage: undefined };
      }
    });
    const strays = this.#strays();
    const measured = await Promise.all(measuring);
    if (failures.length > 0) this.#degrade('trees', failures[0]);
    else this.#degraded.delete('trees');
    return { at: clock.now(), date: Date.now(), host: this.#sampler.sample(), trees: measured, strays };
  }

  #strays(): number {
    try {
      const strays = this.#source.strays();
      this.#degraded.delete('strays');
      return strays;
    } catch (error) {
      this.#degrade('strays', error);
      return 0;
    }
  }

  /** Emits what the measurement shows, and has done what follows. */
  #conclude(measurement: Measurement): ResourceSample {
    const outcome = this.#assessment.take(measurement);
    this.#latest = outcome.sample;
    this.#isUndecided = outcome.isUndecided;
    if (this.#enforcer) this.#enforcer.run(() => this.#follow(outcome));
    else this.#follow(outcome);
    return outcome.sample;
  }

  #follow({ sample, told, treeDeeds, poolDeeds, startRules }: Outcome): void {
    this.emit('sample:taken', sample);
    for (const one of told) this.#emitTold(one);
    this.#setRules(startRules);
    for (const deed of treeDeeds) this.#doWithTree(deed);
    for (const deed of poolDeeds) this.#doWithAll(deed);
  }

  #doWithTree(deed: TreeDeed): void {
    const { action, id, name, reason, level } = deed;
    const { dryRun } = this.#settings;
    this.#tell({ action, reason, ...(level && { level }), name, instanceId: id, dryRun });
    if (!dryRun) this.#enforcer?.carryOut(deed);
  }

  #doWithAll(deed: PoolDeed): void {
    const { action, level, reason } = deed;
    const { dryRun, onEmergency } = this.#settings;
    if (action === 'call-host' && onEmergency === undefined) return;
    this.#tell({ action, level, reason, dryRun });
    if (dryRun) return;
    if (action === 'end-all') return this.#enforcer?.endAll(deed);
    const { outbox } = this.#source;
    const call = () => callSafely(() => onEmergency?.(deed.notice));
    if (outbox) outbox.push(call);
    else call();
  }

  #setRules(rules: StartRules): void {
    const { shortage, overload } = rules;
    const before = this.#rules;
    this.#rules = rules;
    const { dryRun } = this.#settings;
    if (shortage && !before.shortage) {
      const reason = `all trees use ${Math.round(shortage.memoryMB)} MB of ${Math.round(shortage.limitMB)} MB`;
      this.#tell({ action: 'hold-starts', reason, dryRun });
    }
    if (overload && overload.level !== before.overload?.level) {
      const { level, measured, threshold, by } = overload;
      const reason = `${Math.round(measured)} ${by === 'processes' ? 'unexpected processes' : 'MB'}, where level ${level} begins at ${Math.round(threshold)}`;
      this.#tell({ action: 'refuse-starts', level, reason, dryRun });
    }
    if (!dryRun) this.#enforcer?.setStartRules(rules);
  }

  #emitTold([event, payload]: Told): void {
    if (event === 'limit:exceeded') this.counts.violations += 1;
    if (event === 'action:taken') this.#tell(payload);
    else this.emit(event, payload as never);
  }

  #tell(taken: MonitorEvents['action:taken']): void {
    if (!taken.dryRun) this.counts.actions += 1;
    this.emit('action:taken', taken);
  }

  /** Something cannot be measured. Emitted once, until it works again. */
  #degrade(part: 'trees' | 'strays' | 'sample', error: unknown): void {
    if (this.#degraded.has(part)) return;
    this.#degraded.add(part);
    this.emit('monitor:degraded', { part, reason: messageOf(error), consequence: CONSEQUENCES[part] });
  }
}

/** What a function of the host throws, or rejects with, breaks nothing. */
function callSafely(task: () => unknown): void {
  try {
    const result = task();
    if (result instanceof Promise) result.catch(() => {});
  } catch {}
}
