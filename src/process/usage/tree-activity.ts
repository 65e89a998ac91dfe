/** What shows that the processes of one server work, at one moment. */
export interface TreeActivity {
  /** CPU time since the leader was started, ms, of members that have exited, too. It never falls. */
  readonly cpuTime: number;
  /** Bytes that its living processes have read and written, by files and otherwise; undefined where the system does not show it. */
  readonly ioBytes: number | undefined;
  /** Whether one of them is stopped by a signal (state T). */
  readonly hasStopped: boolean;
  /** Whether one of them has a TCP connection that does not end in the tree itself, or tries to get one. */
  readonly isOnNetwork: boolean;
}

/** How the leader of a tree is. `stopped`: by a signal (state T), so that it does nothing until SIGCONT. */
export type LeaderState = 'running' | 'stopped' | 'gone';
