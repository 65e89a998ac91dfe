import type { ResolvedMonitoring } from '../config/monitoring-options.js';
import { messageOf } from '../errors.js';
import { SafeEmitter } from '../events.js';
import type { Timer } from '../runtime/clock.js';
import { Assessment, type Measurement, type Outcome } from './assessment.js';
import type { PoolDeed, StartRules, TreeDeed } from './finding.js';
import { HostSampler } from './host/host-sampler.js';
import type { MonitorEvents } from './monitor-events.js';
import type { MonitoredHost } from './monitored-host.js';
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
export class ResourceMonitor extends SafeEmitter<MonitorEvents> {
  readonly #settings: ResolvedMonitoring;
  readonly #host: MonitoredHost;
  readonly #sampler: HostSampler;
  readonly #assessment: Assessment;
  #latest: ResourceSample | undefined;
  #sampling: Promise<ResourceSample> | undefined;
  #timer: Timer | undefined;
  #isStarted = false;
  #isUndecided = false;
  #rules = NO_RULES;
  /** What could not be measured in the last sample. */
  readonly #degraded = new Set<string>();

  constructor(settings: ResolvedMonitoring, host: MonitoredHost) {
    super(host.outbox);
    this.#settings = settings;
    this.#host = host;
    this.#sampler = new HostSampler({ clock: host.clock });
    this.#assessment = new Assessment(settings, () => host.limits());
  }

  /** The last sample; undefined before the first. */
  get latest(): ResourceSample | undefined {
    return this.#latest;
  }

  /** Begins to sample: in `interval` from now, and again and again. It never keeps the host alive. */
  start(): void {
    if (this.#isStarted) return;
    this.#isStarted = true;
    this.#sampler.start();
    this.#schedule(this.#settings.interval);
  }

  /** Samples no more. New starts are free again. */
  stop(): void {
    if (!this.#isStarted) return;
    this.#isStarted = false;
    this.#timer?.cancel();
    this.#sampler.stop();
    this.#setRules(NO_RULES);
  }

  /** Takes a sample now, and does what follows from it. Calls at the same time share one. */
  sample(): Promise<ResourceSample> {
    this.#sampling ??= this.#take();
    return this.#sampling;
  }

  /** A server was spawned: bursts are seen at once, not with the next sample. */
  noteSpawn(name: string): void {
    const grown = this.#assessment.growth.spawned(this.#host.clock.now(), name);
    if (grown) this.emit('growth:detected', grown);
  }

  /** The trees that a level would end now, the first first. */
  victimsAt(level: Parameters<Assessment['victimsAt']>[0]): ReturnType<Assessment['victimsAt']> {
    return this.#assessment.victimsAt(level, this.#host.clock.now());
  }

  #schedule(delay: number): void {
    this.#timer = this.#host.clock.after(delay, () => void this.#tick());
  }

  async #tick(): Promise<void> {
    let next = this.#settings.interval;
    try {
      const { level } = this.#assessment;
      const { trees } = await this.sample();
      next = sampleInterval(next, { level, trees: trees.length, isUndecided: this.#isUndecided });
    } catch (error) {
      this.#degrade('sample', error);
    }
    if (this.#isStarted) this.#schedule(next);
  }

  async #take(): Promise<ResourceSample> {
    try {
      return this.#conclude(await this.#measure());
    } finally {
      this.#sampling = undefined;
    }
  }

  async #measure(): Promise<Measurement> {
    const { clock } = this.#host;
    const trees = this.#host.trees();
    const failures: unknown[] = [];
    const usages = await Promise.all(
      trees.map(async (tree) => {
        try {
          const usage = await tree.usage();
          return usage && { tree, usage };
        } catch (error) {
          failures.push(error);
          return undefined;
        }
      }),
    );
    if (failures.length > 0) this.#degrade('trees', failures[0]);
    else this.#degraded.delete('trees');
    const measured = usages.filter((usage) => usage !== undefined);
    return { at: clock.now(), date: Date.now(), host: this.#sampler.sample(), trees: measured, strays: this.#strays() };
  }

  #strays(): number {
    try {
      const strays = this.#host.strays();
      this.#degraded.delete('strays');
      return strays;
    } catch (error) {
      this.#degrade('strays', error);
      return 0;
    }
  }

  /** Emits what the measurement shows, and has done what follows. */
  #conclude(measurement: Measurement): ResourceSample {
    let outcome: Outcome | undefined;
    this.#host.run(() => {
      outcome = this.#assessment.take(measurement);
      const { sample, told, treeDeeds, poolDeeds, startRules, isUndecided } = outcome;
      this.#latest = sample;
      this.#isUndecided = isUndecided;
      this.emit('sample:taken', sample);
      for (const [event, payload] of told) this.emit(event, payload as never);
      this.#setRules(startRules);
      for (const deed of treeDeeds) this.#doWithTree(deed);
      for (const deed of poolDeeds) this.#doWithAll(deed);
    });
    return (outcome as Outcome).sample;
  }

  #doWithTree(deed: TreeDeed): void {
    const { action, id, name, reason, level } = deed;
    const { dryRun } = this.#settings;
    this.emit('action:taken', { action, reason, ...(level && { level }), name, instanceId: id, dryRun });
    if (!dryRun) this.#host.carryOut(deed);
  }

  #doWithAll(deed: PoolDeed): void {
    const { action, level, reason } = deed;
    const { dryRun, onEmergency } = this.#settings;
    if (action === 'call-host' && onEmergency === undefined) return;
    this.emit('action:taken', { action, level, reason, dryRun });
    if (dryRun) return;
    if (action === 'end-all') return this.#host.endAll(deed);
    this.#host.callBack(() => onEmergency?.(deed.notice));
  }

  #setRules(rules: StartRules): void {
    const { shortage, overload } = rules;
    const before = this.#rules;
    this.#rules = rules;
    const { dryRun } = this.#settings;
    if (shortage && !before.shortage) {
      const reason = `all trees use ${Math.round(shortage.memoryMB)} MB of ${Math.round(shortage.limitMB)} MB`;
      this.emit('action:taken', { action: 'hold-starts', reason, dryRun });
    }
    if (overload && overload.level !== before.overload?.level) {
      const { level, measured, threshold, by } = overload;
      const reason = `${Math.round(measured)} ${by === 'processes' ? 'unexpected processes' : 'MB'}, where level ${level} begins at ${Math.round(threshold)}`;
      this.emit('action:taken', { action: 'refuse-starts', level, reason, dryRun });
    }
    if (!dryRun) this.#host.setStartRules(rules);
  }

  /** Something cannot be measured. Emitted once, until it works again. */
  #degrade(part: 'trees' | 'strays' | 'sample', error: unknown): void {
    if (this.#degraded.has(part)) return;
    this.#degraded.add(part);
    this.emit('monitor:degraded', { part, reason: messageOf(error), consequence: CONSEQUENCES[part] });
  }
}
