/** What all processes of one server use at one moment. */
export interface TreeUsage {
  /** When it was measured, ms, by the clock that was given. */
  readonly at: number;
  /**
   * Unique memory: resident less shared, and what is swapped out, of all living processes; and of shared memory that is no
   * copy of a file as much as the process has that has most. With a delegated memory controller the cgroup's own figure.
   */
  readonly memoryMB: number;
  /** Resident memory of all living processes. What several of them share counts for each. */
  readonly residentMB: number;
  /** CPU time since the leader was started, ms, of members that have exited, too. It never falls. */
  readonly cpuTime: number;
  /** Living processes; zombies are not among them. */
  readonly processes: number;
  readonly zombies: number;
  /** Of all living processes. */
  readonly threads: number;
  /** Since the leader was started, ms; on Linux with the time in which the machine slept, which `at` does not count. */
  readonly uptime: number;
}

/** With what is too expensive for every sample. */
export interface DetailedUsage extends TreeUsage {
  /** Open descriptors of all living processes. Undefined where the system does not show them. */
  readonly descriptors: number | undefined;
  /** Proportional set size: what several processes share is divided among them. Undefined where the system does not show it. */
  readonly pssMB: number | undefined;
  /**
   * Living processes that are left out of these two figures: this user may not read them, they hang in the kernel (state D), or their
   * main thread has ended.
   */
  readonly hidden: number;
}
