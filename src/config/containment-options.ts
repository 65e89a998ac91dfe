import { about, flag, nested, oneOf, optional, type Resolved } from './fields.js';
import { count, megabytes, megabytesOrZero, percent } from './number-fields.js';
import type { Problems } from './read-options.js';

/** Linux: the marks by which the pool finds a process that has left the process tree of its server. */
export const markerFields = {
  /**
   * A variable, `MCP_SERVER_POOL_MARK`. A process loses it with `env -i`, and it cannot be read from a process that is not
   * dumpable (prctl(2), `PR_SET_DUMPABLE`). Default: true.
   */
  environment: about('whether they carry a mark in their environment, `MCP_SERVER_POOL_MARK`', flag(true)),
  /**
   * A resource limit that modern kernels ignore (`RLIMIT_LOCKS`), which a `/bin/sh` sets before it becomes the command. It
   * survives `env -i`; a process loses it only when it sets this limit itself. Default: true.
   */
  rlimit: about('whether they carry a mark in a resource limit that Linux ignores', flag(true)),
};

/** Limits of each process of a server, set by `ulimit`, soft and hard: the server cannot raise them (root can). */
export const rlimitFields = {
  /** Most open descriptors of one process. Default: undefined, the limit of the host. */
  openFiles: about('most open descriptors of one process; none: the limit of the host', optional(count(1_024, 16))),
  /**
   * Most processes and threads of the *user*, those of other programs included; without effect on root. To count the
   * server alone, use `cgroupLimits.processes`. Default: undefined, the limit of the host.
   */
  processes: about(
    'most processes and threads of the user, other programs included; no effect on root',
    optional(count(1_024, 1)),
  ),
  /**
   * Most virtual memory of one process, in MB, reserved or used. Node 20 needs about 800 to start, and more than 10,000 for
   * WebAssembly, which its `fetch` uses. To limit used memory, set `cgroupLimits.memoryMB`. Default: undefined, the limit
   * of the host.
   */
  addressSpaceMB: about(
    'most virtual memory of one process; Node alone needs about 800, and more than 10,000 for WebAssembly',
    optional(megabytes(4_096)),
  ),
  /**
   * Whether core dumps may be written. A core dump contains the memory of the process, secrets included. Default:
   * undefined, as the host has it.
   */
  core: about('true: core dumps may be written; false: they may not; none: as the host has it', optional(flag(false))),
};

/**
 * Limits of the whole process tree of an instance, set in its cgroup (v2). They need the controllers, delegated to the host.
 * @see https://docs.kernel.org/admin-guide/cgroup-v2.html
 */
export const cgroupLimitFields = {
  /**
   * Memory, in MB (memory.max). When the tree needs more, the kernel kills a process of it, and `server:exited` and errors
   * carry `outOfMemory`. Default: undefined, no limit.
   */
  memoryMB: about(
    'memory of the tree (memory.max); when it needs more, the kernel kills a process of it',
    optional(megabytes(512)),
  ),
  /** Swap in addition to the memory, in MB (memory.swap.max); 0: none. Default: undefined, no limit. */
  swapMB: about('swap in addition to the memory (memory.swap.max); 0: none', optional(megabytesOrZero(0))),
  /** Most processes and threads (pids.max). Default: undefined, no limit. */
  processes: about('most processes and threads of the tree (pids.max)', optional(count(256, 1))),
  /** CPU time, in percent of one core (cpu.max): 150 is one and a half cores. Default: undefined, no limit. */
  cpuPercent: about('CPU time of the tree, in percent of one core (cpu.max)', optional(percent(100, 1))),
};

/** How the processes of a server are held together. Each option can be set per server, or for all servers in `defaults`. */
export const containmentFields = {
  /**
   * Which processes end with the server, and are proven dead. Default: `auto`.
   *
   * - `auto`: the same as `cgroup` where a cgroup can be made, else as `markers`; `status()` says which, and why.
   * - `cgroup`: the tree, all that carry a mark, and all in the cgroup. Where no cgroup can be made, a start fails with
   *   `CONTAINMENT_UNAVAILABLE`.
   * - `markers`: the tree, the sessions and groups that it leads, and all that carry a mark.
   * - `group`: only what stays in the process group of the server. For servers with a browser or an editor that must live
   *   on after them. Fails on Windows.
   */
  containment: about(
    "what ends with the server: `'cgroup'`: or fail; `'markers'`; `'group'`: what leaves it lives on; for pools, too",
    oneOf('auto', 'auto', 'group', 'markers', 'cgroup'),
  ),
  /** Linux: which marks the processes of the server carry. Ignored with `containment: 'group'`, which sets none. */
  markers: about('which marks its processes carry ([fields](termination.md))', nested(markerFields)),
  /** Limits of each process, by `ulimit`. A limit that cannot be set fails the start with `CONTAINMENT_UNAVAILABLE`. */
  rlimits: about('limits of each process, by `ulimit` ([fields](termination.md))', nested(rlimitFields)),
  /**
   * Linux: no process of the server can gain privileges by exec (setuid, file capabilities); set by `setpriv` of
   * util-linux, without which the start fails with `CONTAINMENT_UNAVAILABLE`. Default: false.
   * @see https://docs.kernel.org/userspace-api/no_new_privs.html
   */
  noNewPrivileges: about('Linux: its processes cannot gain privileges by exec; needs `setpriv`', flag(false)),
  /**
   * Linux: limits of the whole tree, by cgroup v2. Where one cannot be set, `containment: 'cgroup'` fails the start with
   * `CONTAINMENT_UNAVAILABLE`; `auto` starts without it, and `status()` says so.
   */
  cgroupLimits: about(
    'limits of the tree where controllers are delegated ([fields](termination.md))',
    nested(cgroupLimitFields),
  ),
};

/** The values of the option `containment`. */
export type Containment = 'auto' | 'group' | 'markers' | 'cgroup';
/** The option `markers` with its defaults filled in. */
export type MarkerChoice = Resolved<typeof markerFields>;
/** The option `rlimits`; a limit that is not set is undefined. */
export type ProcessLimits = Resolved<typeof rlimitFields>;
/** The option `cgroupLimits`; a limit that is not set is undefined. */
export type CgroupLimits = Resolved<typeof cgroupLimitFields>;

/** The containment options of a definition with their defaults filled in. */
export interface ResolvedContainment {
  readonly containment: Containment;
  readonly markers: MarkerChoice;
  readonly rlimits: ProcessLimits;
  readonly noNewPrivileges: boolean;
  readonly cgroupLimits: CgroupLimits;
}

/** Adds a problem for each combination of options that contradicts itself. */
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
