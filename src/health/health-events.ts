import type { ListenerError } from '../events.js';
import type { HealthStatus } from './health-status.js';

/** The health of a server has changed. */
export interface HealthChange {
  /** Of what is checked; in a pool the instance. */
  readonly id: string;
  /** In a pool the server. */
  readonly name: string;
  /** Undefined when it was not checked before. */
  readonly from: HealthStatus | undefined;
  /** What it is now. */
  readonly to: HealthStatus;
  /** In words. */
  readonly reason: string;
  /** What to do about it, in words; empty when nothing must be done. */
  readonly action: string;
  /** How long ago, before this change, it showed its last sign of life, ms. */
  readonly silent: number;
}

/** A check has ended. */
export interface HealthChecked {
  /** Of what is checked; in a pool the instance. */
  readonly id: string;
  /** In a pool the server. */
  readonly name: string;
  /** What the check has found. */
  readonly status: HealthStatus;
  /** How long it took, ms. */
  readonly duration: number;
}

/** Something has not ended for `health.stuckAfter`. */
export interface StuckEvent {
  /**
   * `request`: it is not answered. `lease`: it is held without a message. `start`: the server does not become ready. `cleanup`:
   * its processes do not end.
   */
  readonly kind: 'request' | 'lease' | 'start' | 'cleanup';
  /** Name of the server. */
  readonly name: string;
  /** The process tree; undefined when there is none. */
  readonly instanceId?: string | undefined;
  /** How long it has lasted, ms. */
  readonly age: number;
  /** Of a request. */
  readonly method?: string | undefined;
  /** Of a request that calls a tool. */
  readonly tool?: string | undefined;
  /** As `PooledServer.id`. */
  readonly leaseId?: string | undefined;
  /** Of the lease, as given to `getServer()`. */
  readonly owner?: string | undefined;
  /** Of the lease or the instance. */
  readonly tenant?: string | undefined;
}

/** The events of a {@link HealthMonitor}, with the payload of each. A pool emits them, too. */
export interface HealthEvents {
  /** The health of a server has changed; also when it is known for the first time, unless it is healthy. */
  'health:changed': HealthChange;
  /** A check has ended. */
  'health:checked': HealthChecked;
  /** Something does not end. Emitted once for each thing; not by a monitor without a pool. */
  'stuck:detected': StuckEvent;
  /** A listener threw an error, or returned a promise that was rejected. */
  'listener:error': ListenerError;
}
