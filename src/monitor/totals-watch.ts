import type { Shortage, Told, TreeDeed } from './finding.js';
import type { HostSample } from './host/host-sample.js';
import { type LimitAssessment, LimitWatch } from './limits.js';
import type { LimitKind } from './monitor-events.js';
import type { TotalLimits } from './monitored-tree.js';
import type { ResourceSample } from './resource-sample.js';
import type { TreeCandidate, WatchSettings } from './tree-watch.js';
import { victims } from './victims.js';

/** What all trees together use at one moment. */
export interface Totals {
  readonly at: number;
  readonly host: HostSample;
  readonly totals: ResourceSample['totals'];
  readonly limits: TotalLimits;
  readonly candidates: readonly TreeCandidate[];
}

interface TotalSettings extends WatchSettings {
  /** Share of the memory of the host at which that is near its end. */
  readonly hostMemoryPercent: number;
}

/**
 * What all trees use together, compared with the limits of the pool and the memory of the host. Near the limit idle trees end;
 * at the limit new starts wait, too; a tree with leases is replaced only for a limit that the host has set.
 */
export class TotalsWatch {
  readonly #settings: TotalSettings;
  readonly #memory: LimitWatch;
  readonly #cpu: LimitWatch;
  readonly #hostMemory: LimitWatch;

  constructor(settings: TotalSettings) {
    this.#settings = settings;
    this.#memory = new LimitWatch(settings.windows, settings);
    this.#cpu = new LimitWatch(settings.windows, settings);
    // The share that the host has set is its only threshold.
    this.#hostMemory = new LimitWatch(settings.windows);
  }

  /** Returns why new starts wait. `told` and `deeds` get what else follows. */
  take(now: Totals, told: Told[], deeds: TreeDeed[]): Shortage | undefined {
    const { at, host, totals, limits } = now;
    const memory = this.#memory.update(at, totals.memoryMB, limits.memoryMB.limit);
    tell(told, memory, 'total-memory', totals.memoryMB, limits.memoryMB.limit);
    this.#relieve(now, 'total-memory', memory, this.#memory, deeds);
    const cpu = this.#cpu.update(at, totals.cpuPercent, limits.cpuPercent.limit);
    tell(told, cpu, 'total-cpu', totals.cpuPercent, limits.cpuPercent.limit);
    this.#relieve(now, 'total-cpu', cpu, this.#cpu, deeds);
    const { hostMemoryPercent } = this.#settings;
    const hostMemory = this.#hostMemory.update(at, host.memory?.usedPercent, hostMemoryPercent);
    tell(told, hostMemory, 'host-memory', host.memory?.usedPercent ?? 0, hostMemoryPercent);
    this.#relieve(now, 'host-memory', hostMemory, this.#hostMemory, deeds);
    if (memory.level !== 'exceeded') return undefined;
    return { memoryMB: totals.memoryMB, limitMB: limits.memoryMB.limit };
  }

  /** Ends what no lease uses, until what is left would fit; if there is nothing, the largest tree for a limit of the host. */
  #relieve(
    now: Totals,
    kind: 'total-memory' | 'total-cpu' | 'host-memory',
    assessment: LimitAssessment,
    watch: LimitWatch,
    deeds: TreeDeed[],
  ): void {
    if (!assessment.asksForAction || assessment.level === 'warning') return;
    const { value, limit, isSet, goal, unit } = this.#figuresOf(kind, now);
    const reason = `all trees use ${Math.round(value)} ${unit} of ${Math.round(limit)} ${unit}`;
    const deed = {
      reason: kind === 'host-memory' ? `the host has used ${Math.round(value)} ${unit} of its memory` : reason,
      kind,
      value,
      limit,
    };
    const weighted = now.candidates.map((candidate) => ({
      ...candidate,
      memoryMB: this.#weight(kind, candidate, now),
    }));
    let left = value - goal;
    for (const { id, name, memoryMB } of victims(weighted, { reason: 'memory', now: now.at })) {
      if (left <= 0) break;
      left -= memoryMB;
      deeds.push({ action: 'end-idle', id, name, ...deed, isUrgent: false });
      watch.acted();
    }
    if (left <= 0 || assessment.level !== 'exceeded' || !isSet) return;
    const [largest] = victims(weighted, { reason: 'largest', now: now.at });
    if (largest === undefined) return;
    const { id, name } = largest;
    deeds.push({ action: 'replace', id, name, ...deed, isUrgent: assessment.isUrgent });
    watch.acted();
  }

  #figuresOf(kind: 'total-memory' | 'total-cpu' | 'host-memory', { host, limits, totals }: Totals) {
    const { criticalPercent, hostMemoryPercent } = this.#settings;
    if (kind === 'total-memory') {
      const { limit, isSet } = limits.memoryMB;
      return { value: totals.memoryMB, limit, isSet, goal: (limit * criticalPercent) / 100, unit: 'MB' };
    }
    if (kind === 'total-cpu') {
      const { limit, isSet } = limits.cpuPercent;
      return { value: totals.cpuPercent, limit, isSet, goal: (limit * criticalPercent) / 100, unit: '% of a core' };
    }
    const value = host.memory?.usedPercent ?? 0;
    return { value, limit: hostMemoryPercent, isSet: false, goal: hostMemoryPercent, unit: '%' };
  }

  /** What the end of a tree would give back, in the unit of the limit. */
  #weight(kind: 'total-memory' | 'total-cpu' | 'host-memory', tree: TreeCandidate, { host }: Totals): number {
    if (kind === 'total-memory') return tree.memoryMB;
    if (kind === 'total-cpu') return tree.cpuPercent;
    const totalMB = host.memory?.totalMB;
    return totalMB === undefined ? 0 : (tree.memoryMB / totalMB) * 100;
  }
}

function tell(told: Told[], { change }: LimitAssessment, kind: LimitKind, value: number, limit: number): void {
  if (change) told.push([`limit:${change}`, { kind, value, limit }]);
}
