import type { AlertLevel, EmergencyNotice } from '../config/monitoring-options.js';
import type { Level } from './level.js';
import type { LimitKind, MonitorAction, MonitorEvents } from './monitor-events.js';

/** An event that follows from a sample. */
export type Told = { [K in keyof MonitorEvents]: readonly [event: K, payload: MonitorEvents[K]] }[keyof MonitorEvents];

/** A tree that is to be ended or replaced. */
export interface TreeDeed {
  readonly action: Exclude<MonitorAction, 'hold-starts' | 'refuse-starts' | 'end-all' | 'call-host' | 'prune'>;
  readonly id: string;
  readonly name: string;
  /** In words, with the figure. */
  readonly reason: string;
  readonly level?: Level | undefined;
  /** Why; `leak`: its memory grows and does not come back. */
  readonly kind: LimitKind | 'leak' | 'level';
  /** MB, percent of one core, or processes. */
  readonly value: number;
  readonly limit: number;
  /** What a level was reached by. */
  readonly by?: 'processes' | 'memory' | undefined;
  /** Whether it cannot wait for the end of a lease. */
  readonly isUrgent: boolean;
}

/** Something that is to be done once with all trees, or told the host. */
export interface PoolDeed {
  readonly action: 'end-all' | 'call-host';
  readonly reason: string;
  readonly level: AlertLevel;
  /** What `onEmergency` gets. */
  readonly notice: EmergencyNotice;
}

/** Why new starts wait: all trees use as much memory as they may, MB. */
export interface Shortage {
  readonly memoryMB: number;
  readonly limitMB: number;
}

/** Why new starts are refused. */
export interface Overload {
  readonly level: Level;
  /** Processes beyond what is expected, or MB. */
  readonly measured: number;
  readonly threshold: number;
  readonly by: 'processes' | 'memory';
}

/** Whether new starts wait or are refused, from one sample to the next. */
export interface StartRules {
  readonly shortage: Shortage | undefined;
  readonly overload: Overload | undefined;
  /** Whether nothing is started that no caller asks for (`minIdle`). */
  readonly holdsSpares: boolean;
}
