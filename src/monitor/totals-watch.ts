import type { Shortage, Told, TreeDeed } from './finding.js';
import type { HostSample } from './host/host-sample.js';
import { type LimitAssessment, LimitWatch } from './limits.js';
import type { LimitKind } from './monitor-events.js';
import type { TotalLimits, TreeLimit } from './monitored-tree.js';
import type { TreeLevel } from './resource-sample.js';
import type { TreeCandidate, WatchSettings } from './tree-watch.js';
import { victims } from './victims.js';

/** What all trees together use at one moment. Undefined: not all of them could be measured. */
export interface Totals {
  readonly at: number;
  readonly host: HostSample;
  readonly memoryMB: number | undefined;
  readonly cpuPercent: number | undefined;
  readonly limits: TotalLimits;
  readonly candidates: readonly TreeCandidate[];
}

interface TotalSettings extends WatchSettings {
  /** Share of the memory of the host at which that is near its end. */
  readonly hostMemoryPercent: number;
}

/** A tree is replaced for a total only if it uses at least this share of what the largest one uses. */
const NOTABLE = 1 / 2;
/** For the memory of the host idle trees end only if together they give back at least this share of what is too much. */
const HELPFUL = 1 / 2;

/**
 * What all trees use together, compared with the limits of the pool and the memory of the host. Near the memory limit idle trees
 * end; at it new starts wait, too; a tree with leases is replaced only for a limit that the host has set.
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

  /** How near the memory of all trees is to its limit. */
  get memoryLevel(): TreeLevel {
    return this.#memory.level;
  }

  /** Returns why new starts wait. `told` and `deeds` get what else follows. */
  take(now: Totals, told: Told[], deeds: TreeDeed[]): Shortage | undefined {
    const { at, host, limits, memoryMB, cpuPercent } = now;
    const memory = this.#memory.update(at, memoryMB, limits.memoryMB.limit);
    tell(told, memory, 'total-memory', memoryMB, limits.memoryMB.limit);
    if (memory.asksForAction && memoryMB !== undefined) this.#relieveMemory(now, memoryMB, memory, deeds);
    const cpu = this.#cpu.update(at, cpuPercent, limits.cpuPercent.limit);
    tell(told, cpu, 'total-cpu', cpuPercent, limits.cpuPercent.limit);
    if (cpu.asksForAction && cpuPercent !== undefined) this.#relieveCpu(now, cpuPercent, cpu, deeds);
    const { hostMemoryPercent } = this.#settings;
    const used = host.memory?.usedPercent;
    const hostMemory = this.#hostMemory.update(at, used, hostMemoryPercent);
    tell(told, hostMemory, 'host-memory', used, hostMemoryPercent);
    if (hostMemory.asksForAction && used !== undefined) this.#relieveHost(now, used, deeds);
    if (memory.level !== 'exceeded') return undefined;
    return { memoryMB: memoryMB ?? limits.memoryMB.limit, limitMB: limits.memoryMB.limit };
  }

  /** Ends idle trees until the rest fits; if that is not enough, replaces the largest one for a limit of the host. */
  #relieveMemory({ at, candidates, limits }: Totals, value: number, found: LimitAssessment, deeds: TreeDeed[]): void {
    if (found.level === 'warning') return;
    const { limit } = limits.memoryMB;
    const deed = { kind: 'total-memory' as const, value, limit, reason: `all trees use ${shown(value, limit, 'MB')}` };
    let left = value - endingMB(candidates) - (limit * this.#settings.criticalPercent) / 100;
    for (const { id, name, memoryMB } of victims(candidates, { reason: 'memory', now: at })) {
      if (left <= 0) break;
      left -= memoryMB;
      deeds.push({ action: 'end-idle', id, name, ...deed, isUrgent: false });
      this.#memory.acted();
    }
    if (left > 0) this.#replaceLargest(candidates, found, limits.memoryMB, this.#memory, deed, deeds);
  }

  /** Replaces the tree that uses most. Idle trees use nothing that their end would give back. */
  #relieveCpu({ candidates, limits }: Totals, value: number, found: LimitAssessment, deeds: TreeDeed[]): void {
    const { limit } = limits.cpuPercent;
    const reason = `all trees use ${shown(value, limit, '% of a core')}`;
    const deed = { kind: 'total-cpu' as const, value, limit, reason };
    // The choice goes by one figure.
    const byCpu = candidates.map((candidate) => ({ ...candidate, memoryMB: candidate.cpuPercent }));
    this.#replaceLargest(byCpu, found, limits.cpuPercent, this.#cpu, deed, deeds);
  }

  /** Ends idle trees if that helps: a machine that others have filled is not made better by cold starts. */
  #relieveHost({ at, candidates, host }: Totals, value: number, deeds: TreeDeed[]): void {
    const limit = this.#settings.hostMemoryPercent;
    const totalMB = host.memory?.totalMB ?? 0;
    let left = ((value - limit) / 100) * totalMB - endingMB(candidates);
    const idle = victims(candidates, { reason: 'memory', now: at });
    if (idle.reduce((sum, { memoryMB }) => sum + memoryMB, 0) < HELPFUL * left) return;
    const reason = `${Math.round(value)} % of the memory of the host is used, more than ${limit} %`;
    for (const { id, name, memoryMB } of idle) {
      if (left <= 0) break;
      left -= memoryMB;
      deeds.push({ action: 'end-idle', id, name, reason, kind: 'host-memory', value, limit, isUrgent: false });
      this.#hostMemory.acted();
    }
  }

  #replaceLargest<C extends TreeCandidate>(
    candidates: readonly C[],
    { level, isUrgent }: LimitAssessment,
    { isSet }: TreeLimit,
    watch: LimitWatch,
    deed: Pick<TreeDeed, 'kind' | 'value' | 'limit' | 'reason'>,
    deeds: TreeDeed[],
  ): void {
    if (level !== 'exceeded' || !isSet) return;
    // Among all, those included that may not be ended or are leaving already: for them no small neighbour ends instead.
    const most = Math.max(...candidates.map(({ memoryMB }) => memoryMB));
    const [largest] = victims(candidates, { reason: 'largest' });
    if (largest === undefined || largest.memoryMB < NOTABLE * most) return;
    const { id, name } = largest;
    deeds.push({ action: 'replace', id, name, ...deed, isUrgent });
    watch.acted();
  }
}

/** What comes free by itself. */
export function endingMB(candidates: readonly TreeCandidate[]): number {
  return candidates.reduce((sum, { phase, memoryMB }) => sum + (phase === 'ending' ? memoryMB : 0), 0);
}

function shown(value: number, limit: number, unit: string): string {
  return `${Math.round(value)} of ${Math.round(limit)} ${unit}`;
}

function tell(
  told: Told[],
  { change }: LimitAssessment,
  kind: LimitKind,
  value: number | undefined,
  limit: number,
): void {
  if (change && value !== undefined) told.push([`limit:${change}`, { kind, value, limit }]);
}
