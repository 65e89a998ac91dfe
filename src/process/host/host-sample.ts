/** What the host has and uses at one moment. What cannot be read is left out; nothing is estimated in its place. */
export interface HostSample {
  /** ms, of the clock of the sampler. */
  readonly at: number;
  /** What the processes of this host can get. */
  readonly memory?: HostMemory | undefined;
  /** How long processes waited for a resource. Linux only. */
  readonly pressure?: HostPressure | undefined;
  /** Mean number of runnable processes within 1, 5 and 15 minutes, of the whole machine. */
  readonly load?: readonly [number, number, number] | undefined;
  /** CPUs that this host can keep busy. */
  readonly cpus?: HostCpus | undefined;
  /** The limit on processes of which the least is left. */
  readonly pids?: HostPids | undefined;
  /** Of this process. */
  readonly descriptors?: HostDescriptors | undefined;
  /** Memory of this process. */
  readonly heap?: HostHeap | undefined;
  /** Only while the sampler is started. */
  readonly eventLoopDelay?: EventLoopDelay | undefined;
}

/** Memory that the processes of this host can get. MB of 1,048,576 bytes. */
export interface HostMemory {
  /** Of the machine, or the smallest limit of a cgroup around this process. */
  readonly totalMB: number;
  /**
   * The least that is left of any of these: of the machine what its kernel calls available; of a cgroup its limit less what
   * it uses, without the files that the kernel can drop at once (`inactive_file`).
   */
  readonly availableMB?: number | undefined;
  /** Of the fullest of these: for a small container in a full machine, that of the machine. */
  readonly usedPercent?: number | undefined;
  /** The size of that fullest one, MB. Undefined where it is `totalMB`. */
  readonly fullestMB?: number | undefined;
  /** Which of these sets `totalMB`. */
  readonly from: 'machine' | 'container';
}

/** The share of the time in which processes waited for a resource ("pressure stall information"). Linux only. */
export interface HostPressure {
  readonly machine?: Pressures | undefined;
  /** Of the cgroup of this process in version 2; version 1 has no such figures. */
  readonly cgroup?: Pressures | undefined;
}

export interface Pressures {
  readonly memory?: Pressure | undefined;
  readonly cpu?: Pressure | undefined;
  readonly io?: Pressure | undefined;
}

export interface Pressure {
  /** At least one process waited. */
  readonly some: StallShares;
  /** All processes waited. Undefined where the kernel does not show it. */
  readonly full?: StallShares | undefined;
}

/** Percent of the last 10, 60 and 300 seconds. */
export interface StallShares {
  readonly avg10: number;
  readonly avg60: number;
  readonly avg300: number;
}

export interface HostCpus {
  /** CPUs that this host can keep busy. With a quota not a whole number. */
  readonly allowed: number;
  /** What sets `allowed`: the CPUs on which the process may run, or the quota of a cgroup around it. */
  readonly from: 'affinity' | 'quota';
}

/** That limit on processes of which the least is left. The kernel counts each thread. */
export interface HostPids {
  readonly used: number;
  readonly allowed: number;
  /**
   * `cgroup`: `pids.max` of a cgroup around this process. `kernel`: `kernel.pid_max` or `kernel.threads-max`. `user`:
   * RLIMIT_NPROC; `used` is then what all users have, as long as that is less than half of the limit.
   */
  readonly from: 'cgroup' | 'kernel' | 'user';
}

/** Descriptors of this process. */
export interface HostDescriptors {
  readonly used: number;
  readonly allowed: number;
}

/** Memory of this process, MB. */
export interface HostHeap {
  readonly usedMB: number;
  /** V8 ends the process when its heap needs more. */
  readonly limitMB: number;
  readonly residentMB?: number | undefined;
}

/** How late the event loop was since the sample before, ms: up to 200 ms less than it was blocked. */
export interface EventLoopDelay {
  readonly mean: number;
  readonly p99: number;
  readonly max: number;
}
