import type { EmergencyNotice, ReachedLevel } from '../config/monitoring-options.js';
import type { LimitKind, MonitorAction, MonitorEvents } from './monitor-events.js';

/** An event that follows from a sample. */
export type MonitorNotice = {
  [K in keyof MonitorEvents]: readonly [event: K, payload: MonitorEvents[K]];
}[keyof MonitorEvents];

/** Why a tree is ended or replaced. `leak`: its memory grows and does not come back. */
export type ActionKind = Exclude<LimitKind, 'folder'> | 'leak' | 'level';

/** A tree that is too large, or too busy. */
export interface ReplacedTree {
  readonly kind: ActionKind;
  /** Of its server. */
  readonly name: string;
  /** Since its start, ms. */
  readonly uptime: number;
  /** What it uses of what there is a limit of. */
  readonly value: number;
  /** Whether it is so far over its limit that this cannot wait. */
  readonly isUrgent: boolean;
}

/** A tree that is to be ended or replaced. */
export interface TreeAction {
  readonly action: Extract<MonitorAction, 'end-idle' | 'end-growing' | 'end-unexpected' | 'replace'>;
  readonly id: string;
  readonly name: string;
  /** In words, with the figure. */
  readonly reason: string;
  readonly kind: ActionKind;
  /** MB, percent, or processes. */
  readonly value: number;
  readonly limit: number;
  /** Where a level asks for it. */
  readonly reached?: ReachedLevel | undefined;
  /** Whether it cannot wait for the end of a lease. */
  readonly isUrgent: boolean;
  /** Of a tree that is replaced for a limit: what the next one of its server is compared with. */
  readonly replaced?: ReplacedTree | undefined;
}

/** Trees that a level ends together. */
export interface EndAll {
  readonly action: 'end-all';
  readonly ids: readonly string[];
  readonly reason: string;
  readonly reached: ReachedLevel;
}

/** A level at which the host is called. */
export interface HostCall {
  readonly action: 'call-host';
  readonly reason: string;
  /** What `onEmergency` gets. */
  readonly reached: EmergencyNotice;
}

/** Something that is to be done once for all trees. */
export type PoolAction = EndAll | HostCall;

/** Why new starts wait: all trees use as much memory as they may. */
export interface Shortage {
  /** Unique memory of all trees, MB. */
  readonly memoryMB: number;
  /** What they may use, MB. */
  readonly limitMB: number;
}

/** Why new starts are refused. */
export interface Overload extends ReachedLevel {
  /** How long the level lasts on by its cooldown alone, ms; undefined while it is reached. */
  readonly cooldownLeft?: number | undefined;
}

/** Whether new starts wait or are refused, from one sample to the next. */
export interface GateState {
  /** Why they wait. */
  readonly shortage: Shortage | undefined;
  /** Why they are refused. */
  readonly overload: Overload | undefined;
  /** Whether nothing is started that no caller asks for (`minIdle`). */
  readonly holdsSpares: boolean;
  /** By server: until when (clock time) the same counts for it alone, since it has brought a level. */
  readonly restingSpares: ReadonlyMap<string, { readonly until: number }>;
}
