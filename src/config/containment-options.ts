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

/** By which a process is recognized that has left its tree. */
export const markerFields = {
  /** A variable of the environment: lost with `env -i`, unreadable of processes that are not dumpable. Default true. */
  environment: flag(true),
  /** A limit of no meaning, set by `/bin/sh` before it becomes the command. Survives nearly everything. Default true. */
  rlimit: flag(true),
};

/** What the kernel holds each process of the server to, by `ulimit`. A server cannot raise them again. */
export const rlimitFields = {
  /** Most open descriptors of a process. */
  openFiles: optional(count(1_024, 16)),
  /** Most processes and threads of the *user*, whoever started them; without effect on root. `cgroupLimits.processes` counts the server alone. */
  processes: optional(count(1_024, 1)),
  /**
   * Most virtual memory of a process, MB, reserved or used. Node 20 needs some 800 to start, and above 10,000 for WebAssembly,
   * with which its `fetch` works: to bound what is used, take `cgroupLimits.memoryMB`.
   */
  addressSpaceMB: optional(megabytes(4_096)),
  /** Whether core dumps may be written; they hold all that was in memory, secrets included. */
  core: optional(flag(false)),
};

/** What the kernel holds the whole tree of an instance to, by its cgroup, where the controllers are delegated to the host. */
export const cgroupLimitFields = {
  /** Memory; a tree that needs more is killed, and told as `outOfMemory` (memory.max). */
  memoryMB: optional(megabytes(512)),
  /** Swap beside it; 0: none (memory.swap.max). */
  swapMB: optional(megabytesOrNone(0)),
  /** Most processes and threads (pids.max). */
  processes: optional(count(256, 1)),
  /** CPU time, percent of one core: 150 is one and a half (cpu.max). */
  cpuPercent: optional(percent(100, 1)),
};

/** How far the processes of a server are held together: each can be set per server, or for all of them in `defaults`. */
export const containmentFields = {
  /**
   * `auto` (default): all that this host can do, falling back without a word but in `status()`. `cgroup`: the same, and the
   * start fails where no cgroup can be made. `markers`: tree, sessions and marks, no cgroup. `group`: only what stays in
   * the process group of the server is ended and proven dead, for servers whose browser or editor shall outlive them.
   */
  containment: oneOf('auto', 'auto', 'group', 'markers', 'cgroup'),
  /** Which marks its processes bear, Linux. `group` has none. */
  markers: group(markerFields),
  /** Limits of each process, by `ulimit`. One that cannot be set fails the start. */
  rlimits: group(rlimitFields),
  /** Linux: whether no process of it can gain privileges by exec (setuid, capabilities), by `setpriv` of util-linux. Default false. */
  noNewPrivileges: flag(false),
  /** Linux: limits of the whole tree, by cgroup v2. Where one cannot be set, `cgroup` fails the start, `auto` says so in `status()`. */
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

/** Adds what does not go together to `problems`. */
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
