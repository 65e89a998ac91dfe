import type { CheckWay } from './check-way.js';

/** What shows that the processes of a server work, at one moment. */
export interface Activity {
  /** CPU time of its tree so far, ms. It never falls. */
  readonly cpuTime: number;
  /** Bytes that its processes have read and written so far; undefined where the system does not show it. */
  readonly ioBytes: number | undefined;
  /** Whether a process of its tree is stopped by a signal. */
  readonly hasStopped: boolean;
  /** Whether one of them has a connection to another machine, or tries to get one. */
  readonly isOnNetwork: boolean;
}

/** A server as a health monitor sees it. A pool has one for each instance that is ready; `health.add()` makes one. */
export interface CheckedServer {
  readonly id: string;
  readonly name: string;
  /** Time between two checks, ms. */
  readonly interval: number;
  /** How long a check may take, ms. */
  readonly timeout: number;
  /** How long it may show no sign of life, ms. */
  readonly unhealthyAfter: number;
  /** How the process that was spawned is. */
  process(): 'running' | 'stopped' | 'gone';
  /** How many messages it has sent so far. */
  readonly heard: number;
  /** Clock time of the last of them, ms; -Infinity before the first. */
  readonly heardAt: number;
  /** Requests of clients that it has not answered, and how many of them are not given up. */
  requests(): { readonly open: number; readonly wanted: number };
  /** Undefined where that is not known. */
  activity?(): Promise<Activity | undefined>;
  /** How it is asked. */
  readonly way: CheckWay;
}
