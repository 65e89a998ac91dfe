import {
  count,
  flag,
  group,
  megabytes,
  megabytesOrNone,
  oneOf,
  optional,
  type Problems,
  percent,
  type Resolved,
} from './option-table.js';

/** The marks by which a process that has left its tree is found. */
export const markerFields = {
  /** An environment variable. Lost with `env -i`, not readable for processes that are not dumpable. Default true. */
  environment: flag(true),
  /**
   * A resource limit without effect, set by `/bin/sh` before it becomes the command. Survives nearly everything.
   * Default true.
   */
  rlimit: flag(true),
};

/** Limits of each process of the server, by `ulimit`. A server cannot raise them again, unless it runs as root. */
export const rlimitFields = {
  /** Maximum of open descriptors per process. */
  openFiles: optional(count(1_024, 16)),
  /**
   * Maximum of processes and threads of the *user*, including those outside the pool; no effect on root.
   * `cgroupLimits.processes` counts only the server.
   */
  processes: optional(count(1_024, 1)),
  /**
   * Maximum of virtual memory per process, MB, reserved or used. Node 20 needs about 800 to start, and more than 10,000
   * for WebAssembly, which its `fetch` uses. To limit used memory, set `cgroupLimits.memoryMB`.
   */
  addressSpaceMB: optional(megabytes(4_096)),
  /** Whether core dumps may be written. They contain the whole memory, secrets included. */
  core: optional(flag(false)),
};

/** Limits of the whole tree of an instance, by its cgroup, where the controllers are delegated to the host. */
export const cgroupLimitFields = {
  /** Memory (memory.max), MB. A tree that needs more is killed, and its exit reports `outOfMemory`. */
  memoryMB: optional(megabytes(512)),
  /** Swap in addition (memory.swap.max), MB; 0: none. */
  swapMB: optional(megabytesOrNone(0)),
  /** Maximum of processes and threads (pids.max). */
  processes: optional(count(256, 1)),
  /** CPU time (cpu.max), percent of one core: 150 is one and a half cores. */
  cpuPercent: optional(percent(100, 1)),
};

/**
 * How the processes of a server are held together. Each option can be set per server, or for all servers in `defaults`.
 */
export const containmentFields = {
  /**
   * `auto` (default): all that this host can do; what is missing appears only in `status()`. `cgroup`: the same, but
   * the start fails where no cgroup can be made. `markers`: tree, sessions and marks, no cgroup. `group`: only what
   * stays in the process group of the server is ended and proven dead, for servers whose browser or editor is to
   * outlive them.
   */
  containment: oneOf('auto', 'auto', 'group', 'markers', 'cgroup'),
  /** Linux: which marks its processes get. With `group` they get none. */
  markers: group(markerFields),
  /** Limits of each process, by `ulimit`. If one cannot be set, the start fails. */
  rlimits: group(rlimitFields),
  /**
   * Linux: no process of it can gain privileges by exec (setuid, capabilities); uses `setpriv` of util-linux. Default
   * false.
   */
  noNewPrivileges: flag(false),
  /**
   * Linux: limits of the whole tree, by cgroup v2. If one cannot be set, the start fails with `cgroup`; with `auto` it
   * appears in `status()`.
   */
  cgroupLimits: group(cgroupLimitFields),
};

export type Containment = 'auto' | 'group' | 'markers' | 'cgroup';
export type MarkerChoice = Resolved<typeof markerFields>;
export type ProcessLimits = Resolved<typeof rlimitFields>;
export type CgroupLimits = Resolved<typeof cgroupLimitFields>;

export interface ResolvedContainment {
  readonly containment: Containment;
  readonly markers: MarkerChoice;
  readonly rlimits: ProcessLimits;
  readonly noNewPrivileges: boolean;
  readonly cgroupLimits: CgroupLimits;
}

/** Adds combinations of options that contradict each other to `problems`. */
export function checkContainment(
  { containment, markers, cgroupLimits }: Omit<ResolvedContainment, 'rlimits' | 'noNewPrivileges'>,
  prefix: string,
  problems: Problems,
): void {
  const limited = Object.entries(cgroupLimits).find(([, value]) => value !== undefined);
  if (limited && (containment === 'group' || containment === 'markers')) {
    problems.wrong.push(
      `${prefix}cgroupLimits.${limited[0]} must not be set where containment is '${containment}', which makes no cgroup; use 'auto' or 'cgroup', or limit each process by rlimits`,
    );
  }
  if (containment === 'markers' && !markers.environment && !markers.rlimit) {
    problems.wrong.push(
      `${prefix}markers must leave environment or rlimit on where containment is 'markers'; use 'auto' to do without`,
    );
  }
}
