import type { TreeUsage } from '../process/usage/tree-usage.js';
import { cpuPercent } from './cpu-percent.js';
import { ExpectedProcesses } from './expected.js';
import type { MonitorNotice, TreeAction } from './finding.js';
import { GrowingPause } from './growing-pause.js';
import type { LeakDetector } from './leaks/leak-detector.js';
import type { LeakWatch } from './leaks/leak-watch.js';
import { QuietMoment } from './leaks/quiet-moment.js';
import { toldOf } from './leaks/verdict.js';
import type { NearPercents } from './levels.js';
import { LimitWatch, type LimitWindows } from './limits.js';
import type { LimitEvent, LimitKind } from './monitor-events.js';
import type { MonitoredTree } from './monitored-tree.js';
import { ObservedTime } from './observed-time.js';
import type { ReplacedServers } from './replaced-servers.js';
import type { TreeLevel, TreeSample } from './resource-sample.js';
import { candidateOf, type TreeCandidate } from './tree-candidate.js';

/** How limits are compared, by the option `monitoring`. */
export interface WatchSettings extends NearPercents {
  readonly windows: LimitWindows;
  readonly leak: { readonly warmup: number };
}

/** What is measured of a tree at one moment. */
export interface TreeMeasurement {
  /** Clock time of the monitor, ms. That of the usage is of another clock. */
  readonly at: number;
  readonly tree: MonitoredTree;
  readonly usage: TreeUsage;
  /** CPUs that the host has. */
  readonly cores: number;
}

type TreeKind = Extract<LimitKind, 'memory' | 'cpu' | 'processes'>;

/** A limit that is watched. */
interface WatchedLimit {
  readonly watch: LimitWatch;
  readonly long: number;
  /** The last one that was set. */
  limit: number;
  /** For how long the value has been well below it. */
  calm: ObservedTime | undefined;
}

const UNITS: Readonly<Record<TreeKind, string>> = { memory: 'MB', cpu: '% of a core', processes: 'processes' };
const HOUR = 3_600_000;
/** After so many long windows well below its limit a tree has shown that the replacement of the one before it has helped. */
const CALM_WINDOWS = 8;
const RANKS: readonly TreeLevel[] = ['normal', 'warning', 'critical', 'exceeded'];

/** What one tree has used so far, as far as the next sample is compared with it. */
export class TreeWatch {
  readonly #settings: WatchSettings;
  readonly #leak: LeakWatch;
  readonly #expected: ExpectedProcesses;
  readonly #limits = new Map<TreeKind, WatchedLimit>();
  /** After the tree should have been replaced: that may have failed. */
  readonly #pause: GrowingPause;
  #wasUrgent = false;
  readonly #replacedServers: ReplacedServers;
  #tree: MonitoredTree;
  #before: TreeUsage | undefined;
  #unexpected = 0;
  /** When it is replaced because it leaks. */
  readonly #quiet: QuietMoment;
  /** For how long it has been ending. */
  #ending: ObservedTime | undefined;
  #isOutlived = false;
  #sample: TreeSample | undefined;
  /** Whether the last sample is of an earlier moment, since it could not be measured now. */
  #isStale = false;

  constructor(tree: MonitoredTree, settings: WatchSettings, leaks: LeakDetector, replaced: ReplacedServers) {
    this.#tree = tree;
    this.#replacedServers = replaced;
    this.#settings = settings;
    this.#leak = leaks.watch(tree.name);
    this.#quiet = new QuietMoment(settings.leak.warmup);
    this.#expected = new ExpectedProcesses(tree.expectedProcesses);
    this.#pause = new GrowingPause(settings.windows.long);
  }

  /** Of its server. */
  get name(): string {
    return this.#tree.name;
  }

  /** Whether a host has added it, and no server is behind its name. */
  get isAdded(): boolean {
    return this.#tree.phase === 'foreign';
  }

  /** Processes beyond what is expected, in the last sample. */
  get unexpected(): number {
    return this.#unexpected;
  }

  /** The last sample; undefined before the first, and while nothing of it lives. */
  get sample(): TreeSample | undefined {
    return this.#sample;
  }

  /** Whether there is still a reason to end it. */
  isOver(kind: TreeKind | 'leak'): boolean {
    if (kind === 'leak') return this.#leak.finding.verdict === 'confirmed';
    return this.#limits.get(kind)?.watch.level === 'exceeded';
  }

  /** It was replaced, as it was asked: that may fail, so it is asked again only after a pause. */
  replaced(at: number, isUrgent: boolean): void {
    this.#pause.begin(at);
    this.#wasUrgent = isUrgent;
  }

  /** What the choice of which trees end looks at. @param tree as it is now */
  candidate(tree: MonitoredTree, growth: number): TreeCandidate {
    const isOverdue = tree.phase === 'ending' && this.#isOverdue;
    return candidateOf(
      isOverdue ? { ...tree, phase: 'overdue' } : tree,
      { ...this.#sample, unexpected: this.#unexpected, growth },
      this.#isStale,
    );
  }

  /** Takes what the tree uses now. `notices` and `actions` get what follows from it. */
  take(now: TreeMeasurement, notices: MonitorNotice[], actions: TreeAction[]): void {
    const { at, tree, usage, cores } = now;
    this.#tree = tree;
    const { id, name, limits } = tree;
    const { memoryMB, residentMB, processes, zombies, threads, uptime } = usage;
    const cpu = cpuPercent(this.#before, usage, cores);
    this.#before = usage;
    this.#timeEnd(at, tree);
    this.#expected.define(tree.expectedProcesses);
    this.#unexpected = this.#expected.update(at, processes, tree.phase !== 'starting');
    const levels = [
      this.#compare('memory', at, memoryMB, limits.memoryMB, notices, actions),
      this.#compare('cpu', at, cpu, limits.cpuPercent, notices, actions),
      this.#compare('processes', at, processes, limits.processes, notices, actions),
    ];
    this.#lookForLeak(at, memoryMB, notices, actions);
    const level = RANKS[Math.max(...levels.map((one) => RANKS.indexOf(one)))] ?? 'normal';
    const measured = { memoryMB, residentMB, cpuPercent: cpu, processes, zombies, threads, uptime };
    this.#sample = { id, name, ...measured, level };
    this.#isStale = false;
  }

  /** It could not be measured: its last figures are shown. */
  miss(): void {
    this.#isStale = true;
  }

  /** Nothing of it lives: it may be on its way to its end, or to its next process. */
  vanish(): void {
    this.#sample = undefined;
    this.#unexpected = 0;
    this.#isStale = false;
  }

  /** The definition of its server has changed: its life shows nothing of the next ones. */
  outlive(): void {
    this.#isOutlived = true;
  }

  /** It is not measured any more: no limit of it is known to be exceeded. */
  rest(notices: MonitorNotice[]): void {
    for (const kind of this.#limits.keys()) this.#forget(kind, 0, notices);
  }

  /** The tree has ended, or is not watched any more. */
  end(notices: MonitorNotice[]): void {
    this.rest(notices);
    if (!this.#isOutlived) this.#leak.end();
  }

  /** Beyond its graces an end shows its effect within the long window, as any action does. */
  get #isOverdue(): boolean {
    return (this.#ending?.now ?? 0) > (this.#tree.endGrace ?? 0) + this.#settings.windows.long;
  }

  #timeEnd(at: number, { phase }: MonitoredTree): void {
    if (phase === 'ending') this.#ending ??= new ObservedTime(this.#settings.windows.long / 3);
    else this.#ending = undefined;
    this.#ending?.advance(at);
  }

  #compare(
    kind: TreeKind,
    at: number,
    value: number | undefined,
    limit: number | undefined,
    notices: MonitorNotice[],
    actions: TreeAction[],
  ): TreeLevel {
    // What it uses while it starts is a start: npx may fill a cache first.
    if (this.#tree.phase === 'starting') return 'normal';
    const watched = this.#watchedLimit(kind, value ?? 0, limit ?? Infinity, notices);
    if (watched === undefined) return 'normal';
    const { level, change, asksForAction, isUrgent } = watched.watch.update(at, value, watched.limit);
    const event = this.#limitEvent(kind, value ?? 0, watched.limit);
    if (change) notices.push([`limit:${change}`, event]);
    const replaced = { kind, name: event.name, uptime: this.#before?.uptime ?? 0, value: value ?? 0, isUrgent };
    if (this.#isCalm(watched, at, value)) this.#replacedServers.helped(at, replaced);
    if (level !== 'exceeded' || !asksForAction || !this.#mayReplace(at, isUrgent)) return level;
    if (this.#replacedServers.rests(at, replaced)) return level;
    actions.push({ ...this.#replacement(event, kind, isUrgent), replaced });
    return level;
  }

  /** Whether the value has been well below its limit for long. */
  #isCalm(watched: WatchedLimit, at: number, value: number | undefined): boolean {
    const { long, limit } = watched;
    const isBelow = value !== undefined && value < (limit * this.#settings.warningPercent) / 100;
    watched.calm = isBelow ? (watched.calm ?? new ObservedTime(long / 3)) : undefined;
    watched.calm?.advance(at);
    return this.#tree.phase === 'ready' && (watched.calm?.now ?? 0) >= long * CALM_WINDOWS;
  }

  /** Undefined without a limit. The host may set another one, or none, at any time. */
  #watchedLimit(kind: TreeKind, value: number, limit: number, notices: MonitorNotice[]): WatchedLimit | undefined {
    const long = this.#longWindow(kind);
    const known = this.#limits.get(kind);
    if (known && (limit === Infinity || known.long !== long)) this.#forget(kind, value, notices);
    if (limit === Infinity) return undefined;
    const watched = this.#limits.get(kind) ?? { watch: this.#newWatch(kind, long), long, limit, calm: undefined };
    this.#limits.set(kind, watched);
    watched.limit = limit;
    return watched;
  }

  #forget(kind: TreeKind, value: number, notices: MonitorNotice[]): void {
    const known = this.#limits.get(kind);
    this.#limits.delete(kind);
    if (known?.watch.end()) notices.push(['limit:recovered', this.#limitEvent(kind, value, known.limit)]);
  }

  /** One that leaves already is ended only if that cannot wait for its lease. What has not helped just now rests. */
  #mayReplace(at: number, isUrgent: boolean): boolean {
    const { phase } = this.#tree;
    const isAllowed = phase === 'ready' || (phase === 'leaving' && isUrgent);
    return isAllowed && (!this.#pause.isOn(at) || (isUrgent && !this.#wasUrgent));
  }

  #longWindow(kind: TreeKind): number {
    const { long } = this.#settings.windows;
    return kind === 'cpu' ? (this.#tree.limits.cpuWindow ?? long) : long;
  }

  #newWatch(kind: TreeKind, long: number): LimitWatch {
    // One process is a large share of a few, so a number of processes is exceeded or not.
    const percents = kind === 'processes' ? undefined : this.#settings;
    return new LimitWatch({ long, short: Math.min(this.#settings.windows.short, long) }, percents);
  }

  #lookForLeak(at: number, memoryMB: number, notices: MonitorNotice[], actions: TreeAction[]): void {
    const { id, name, answered, leases, replacesLeaks } = this.#tree;
    const before = this.#leak.finding.verdict;
    this.#leak.add({ at, memoryMB, ...(answered === undefined ? {} : { requests: answered }) });
    const { verdict, slopeMBPerHour } = this.#leak.finding;
    for (const told of toldOf(before, verdict))
      notices.push([`leak:${told}`, { name, instanceId: id, slopeMBPerHour }]);
    if (verdict !== 'confirmed') this.#quiet.forget();
    // One that cannot be replaced at the moment is looked at again with the next sample.
    if (verdict !== 'confirmed' || !replacesLeaks || !this.#mayReplace(at, false)) return;
    if (!this.#quiet.isNow(at, leases, this.#timeUntilCritical(memoryMB, slopeMBPerHour))) return;
    const reason = `its memory grows by ${Math.round(slopeMBPerHour)} MB an hour, and does not come back`;
    actions.push({
      ...{ action: 'replace', id, name, reason, kind: 'leak' },
      value: memoryMB,
      limit: 0,
      isUrgent: false,
    });
  }

  /** How long a leak takes until it is near the limit of the tree, ms. */
  #timeUntilCritical(memoryMB: number, slopeMBPerHour: number): number {
    const { memoryMB: limit = Infinity } = this.#tree.limits;
    const left = (limit * this.#settings.criticalPercent) / 100 - memoryMB;
    if (left <= 0) return 0;
    return slopeMBPerHour > 0 ? (left / slopeMBPerHour) * HOUR : Infinity;
  }

  #replacement({ value, limit }: LimitEvent, kind: TreeKind, isUrgent: boolean): TreeAction {
    const { id, name } = this.#tree;
    const unit = UNITS[kind];
    const reason = `it uses ${Math.round(value)} ${unit}, more than its limit of ${limit} ${unit}`;
    return { action: 'replace', id, name, reason, kind, value, limit, isUrgent };
  }

  #limitEvent(kind: TreeKind, value: number, limit: number) {
    return { kind, name: this.#tree.name, instanceId: this.#tree.id, value, limit };
  }
}
