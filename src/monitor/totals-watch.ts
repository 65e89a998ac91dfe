import type { HostSample } from '../process/host/host-sample.js';
import type { ActionKind, MonitorNotice, ReplacedTree, Shortage, TreeAction } from './finding.js';
import { type LimitAssessment, LimitWatch } from './limits.js';
import type { LimitKind } from './monitor-events.js';
import type { TotalLimit, TotalLimits } from './monitored-tree.js';
import type { ReplacedServers } from './replaced-servers.js';
import type { TreeLevel } from './resource-sample.js';
import { asManyAs, endingSum, type TreeCandidate } from './tree-candidate.js';
import type { WatchSettings } from './tree-watch.js';
import { victims } from './victims.js';

/** What all trees together use at one moment. */
export interface Totals {
  readonly at: number;
  readonly host: HostSample;
  readonly memoryMB: number;
  readonly cpuPercent: number;
  /** Whether not all of them could be measured: then it is the least that they use. */
  readonly isLeast: boolean;
  readonly limits: TotalLimits;
  /** All trees. It is called only where something is too much. */
  candidates(): readonly TreeCandidate[];
}

/** What all trees together may be over. */
export type TotalKind = Extract<ActionKind, 'total-memory' | 'total-cpu' | 'host-memory'>;

interface TotalSettings extends WatchSettings {
  /** Share of the memory of the host at which that is near its end. */
  readonly hostMemoryPercent: number;
}

/** What a tree with a lease is replaced for. */
interface Replacement {
  readonly found: LimitAssessment;
  readonly limit: TotalLimit;
  readonly figure: 'memoryMB' | 'cpuPercent';
}

type Cause = Pick<TreeAction, 'kind' | 'value' | 'limit' | 'reason'>;

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
  #memory: LimitWatch;
  #cpu: LimitWatch;
  #limits: TotalLimits | undefined;
  #hostMemory: LimitWatch;
  readonly #replaced: ReplacedServers;

  constructor(settings: TotalSettings, replaced: ReplacedServers) {
    this.#settings = settings;
    this.#replaced = replaced;
    this.#memory = new LimitWatch(settings.windows, settings);
    this.#cpu = new LimitWatch(settings.windows, settings);
    // The share that the host has set is its only threshold.
    this.#hostMemory = new LimitWatch(settings.windows);
  }

  /** How near the memory of all trees is to its limit. */
  get memoryLevel(): TreeLevel {
    return this.#memory.level;
  }

  /** Whether the last sample has shown how near that is. */
  get isMemoryKnown(): boolean {
    return this.#memory.isKnown;
  }

  /** Whether there is still a reason to end trees. */
  isOver(kind: TotalKind): boolean {
    if (kind === 'total-memory') return isCritical(this.#memory.level);
    return (kind === 'total-cpu' ? this.#cpu : this.#hostMemory).level === 'exceeded';
  }

  /** An action was carried out that {@link take} has asked for: what has asked rests until the effect shows. */
  acted(kind: TotalKind): void {
    const watches = { 'total-memory': this.#memory, 'total-cpu': this.#cpu, 'host-memory': this.#hostMemory };
    watches[kind].acted();
  }

  /** Returns why new starts wait. `notices` and `actions` get what else follows. */
  take(now: Totals, notices: MonitorNotice[], actions: TreeAction[]): Shortage | undefined {
    const { at, host, limits, memoryMB, cpuPercent, isLeast } = now;
    this.#limits = limits;
    const memory = this.#memory.update(at, memoryMB, limits.memoryMB.limit, isLeast);
    tell(notices, memory, 'total-memory', memoryMB, limits.memoryMB.limit);
    if (memory.asksForAction) this.#relieveMemory(now, memoryMB, memory, actions);
    const cpu = this.#cpu.update(at, cpuPercent, limits.cpuPercent.limit, isLeast);
    tell(notices, cpu, 'total-cpu', cpuPercent, limits.cpuPercent.limit);
    if (cpu.asksForAction) this.#relieveCpu(now, cpuPercent, cpu, actions);
    const { hostMemoryPercent } = this.#settings;
    const used = host.memory?.usedPercent;
    const hostMemory = this.#hostMemory.update(at, used, hostMemoryPercent);
    tell(notices, hostMemory, 'host-memory', used, hostMemoryPercent);
    if (hostMemory.asksForAction && used !== undefined) this.#relieveHost(now, used, actions);
    if (memory.level !== 'exceeded') return undefined;
    const { limit: limitMB } = limits.memoryMB;
    return { memoryMB: isLeast ? Math.max(memoryMB, limitMB) : memoryMB, limitMB };
  }

  /** No tree lives, or nothing is measured any more. Returns the events of limits that were exceeded. */
  rest(): MonitorNotice[] {
    const notices: MonitorNotice[] = [];
    const { memoryMB, cpuPercent } = this.#limits ?? {};
    if (memoryMB && this.#memory.end()) notices.push(recovered('total-memory', memoryMB));
    if (cpuPercent && this.#cpu.end()) notices.push(recovered('total-cpu', cpuPercent));
    const limit = this.#settings.hostMemoryPercent;
    if (this.#hostMemory.end()) notices.push(recovered('host-memory', { limit }));
    // What was measured before shows nothing of those that start later.
    this.#hostMemory = new LimitWatch(this.#settings.windows);
    this.#memory = new LimitWatch(this.#settings.windows, this.#settings);
    this.#cpu = new LimitWatch(this.#settings.windows, this.#settings);
    return notices;
  }

  /** Ends idle trees until the rest fits; if that is not enough, replaces the largest one for a limit of the host. */
  #relieveMemory(now: Totals, value: number, found: LimitAssessment, actions: TreeAction[]): void {
    if (!isCritical(found.level)) return;
    const candidates = now.candidates();
    const { limit } = now.limits.memoryMB;
    const cause: Cause = { kind: 'total-memory', value, limit, reason: `all trees use ${shown(value, limit, 'MB')}` };
    const much = value - endingSum(candidates, 'memoryMB') - (limit * this.#settings.criticalPercent) / 100;
    const left = this.#endIdle(now, much, cause, actions);
    if (left <= 0) return;
    const replacement = { found, limit: now.limits.memoryMB, figure: 'memoryMB' } as const;
    this.#replaceLargest(now, replacement, cause, actions);
  }

  /** Replaces the tree that uses most. Idle trees use nothing that their end would give back. */
  #relieveCpu(now: Totals, value: number, found: LimitAssessment, actions: TreeAction[]): void {
    const { limit } = now.limits.cpuPercent;
    const reason = `all trees use ${shown(value, limit, '% of a core')}`;
    const replacement = { found, limit: now.limits.cpuPercent, figure: 'cpuPercent' } as const;
    this.#replaceLargest(now, replacement, { kind: 'total-cpu', value, limit, reason }, actions);
  }

  /** Ends idle trees if that helps: a machine that others have filled is not made better by cold starts. */
  #relieveHost(now: Totals, value: number, actions: TreeAction[]): void {
    const limit = this.#settings.hostMemoryPercent;
    // In a small container the machine may be what is full.
    const { totalMB = 0, fullestMB = totalMB } = now.host.memory ?? {};
    const much = ((value - limit) / 100) * fullestMB - endingSum(now.candidates(), 'memoryMB');
    const idle = victims(now.candidates(), { reason: 'memory', now: now.at });
    if (idle.reduce((sum, { memoryMB }) => sum + memoryMB, 0) < HELPFUL * much) return;
    const reason = `${Math.round(value)} % of the memory of the host is used, more than ${limit} %`;
    this.#endIdle(now, much, { kind: 'host-memory', value, limit, reason }, actions);
  }

  /** As many idle trees as have `much` MB together. Returns how much is left. */
  #endIdle({ at, candidates }: Totals, much: number, cause: Cause, actions: TreeAction[]): number {
    const idle = victims(candidates(), { reason: 'memory', now: at }).filter(({ memoryMB }) => memoryMB > 0);
    const chosen = asManyAs(idle, much, 'memoryMB');
    for (const { id, name } of chosen) actions.push({ action: 'end-idle', id, name, ...cause, isUrgent: false });
    return chosen.reduce((left, { memoryMB }) => left - memoryMB, much);
  }

  #replaceLargest(
    { at, candidates }: Totals,
    { found, limit, figure }: Replacement,
    cause: Cause,
    actions: TreeAction[],
  ): void {
    if (found.level !== 'exceeded' || !limit.isSet) return;
    const all = candidates();
    // Among all, those included that may not be ended or are leaving already: for them no small neighbour ends instead.
    const most = all.reduce((highest, candidate) => Math.max(highest, candidate[figure]), 0);
    const ordered = victims(all, { reason: figure === 'memoryMB' ? 'largest' : 'busiest' });
    // Not the first of all: a small expendable one would stand before a large one, and nothing would end.
    const largest = ordered.find((candidate) => candidate[figure] >= NOTABLE * most);
    if (largest === undefined) return;
    const { id, name, phase, uptime } = largest;
    const { isUrgent } = found;
    // One that leaves already waits for its lease.
    if (phase === 'starting' || (phase === 'leaving' && !isUrgent)) return;
    const replaced: ReplacedTree = { kind: cause.kind, name, uptime, value: largest[figure], isUrgent };
    if (this.#replaced.rests(at, replaced)) return;
    actions.push({ action: 'replace', id, name, ...cause, isUrgent, replaced });
  }
}

function recovered(kind: LimitKind, { limit }: Pick<TotalLimit, 'limit'>): MonitorNotice {
  return ['limit:recovered', { kind, value: 0, limit }];
}

function isCritical(level: TreeLevel): boolean {
  return level === 'critical' || level === 'exceeded';
}

function shown(value: number, limit: number, unit: string): string {
  return `${Math.round(value)} of ${Math.round(limit)} ${unit}`;
}

function tell(
  notices: MonitorNotice[],
  { change }: LimitAssessment,
  kind: LimitKind,
  value: number | undefined,
  limit: number,
): void {
  if (change && value !== undefined) notices.push([`limit:${change}`, { kind, value, limit }]);
}
