import type { CgroupLimits } from './containment-options.js';
import { about, flag, isPlainObject, oneOf, optional, type Resolved } from './fields.js';
import type { ResolvedLimits } from './limit-options.js';
import { count, megabytesOrUnlimited, noShorter, percentOrUnlimited } from './number-fields.js';
import type { Problems } from './read-options.js';

/**
 * What each process tree of a server may use. These limits are watched by the pool, in samples; those of `cgroupLimits` and
 * `rlimits` are kept by the kernel, at once. Neither sets the other. A tree that stays over a limit of the host is replaced:
 * a shared server by a new process first, any other when its lease ends, or at once from 110 % of the limit on, with
 * `LIMIT_EXCEEDED`. That is no failure of the server: its breaker does not count it.
 */
export const resourceFields = {
  /**
   * Most memory of one tree, in MB: what no other process shares. Default: `Infinity`; that of all together is
   * `limits.memoryLimitMB`.
   */
  memoryLimitMB: about(
    'unique memory of one tree; above it the tree is replaced ([limits](monitoring.md))',
    megabytesOrUnlimited(Infinity),
  ),
  /** Most CPU time of one tree, in percent of one core. Default: `Infinity`. */
  cpuLimitPercent: about('CPU of one tree, in percent of one core, over `cpuWindow`', percentOrUnlimited()),
  /** A tree must be over `cpuLimitPercent` for more than half of this time, in milliseconds, at least 1,000. Default: 60,000. */
  cpuWindow: about(
    'a tree must be over `cpuLimitPercent` for more than half of this time, at least 1,000',
    noShorter(60_000, 1_000),
  ),
  /** Most living processes of one tree. Default: `Infinity`. */
  maxTreeProcesses: about('most living processes of one tree', count(Infinity, 1, 'unlimited')),
  /**
   * The number of processes that a healthy tree has. What it has more counts for the levels (`monitoring.levels`). Default:
   * undefined: what the first sample after it was ready shows, at most 20 (a burst may have come before), or later ones for 60 s.
   */
  expectedProcesses: about(
    'processes of a healthy tree; none: what it has when ready (at most 20), or for 60 s',
    optional(count(1, 1)),
  ),
  /**
   * Which trees are ended first when some must end: to make room for a caller, for memory, and at a level. `expendable`
   * first, `essential` last. Default: `normal`.
   */
  priority: about(
    "its trees end first (`'expendable'`) or last (`'essential'`; [when](monitoring.md))",
    oneOf('normal', 'essential', 'normal', 'expendable'),
  ),
  /**
   * Whether a tree with a confirmed memory leak is replaced before it reaches `memoryLimitMB`: when it has no lease, or the
   * fewest, at the latest after `monitoring.leak.warmup`. Default: false.
   */
  restartOnMemoryLeak: about(
    'a tree with a confirmed leak is replaced, idle if it can wait ([when](monitoring.md))',
    flag(false),
  ),
};

/** The values of the option `priority`. */
export type Priority = 'essential' | 'normal' | 'expendable';

type ResourceOptions = Resolved<typeof resourceFields>;

/** What the limits of a tree must fit to. */
export interface Surroundings {
  /** What the host wrote into this one object. */
  readonly own: Readonly<Record<string, unknown>>;
  readonly limits: ResolvedLimits;
  readonly cgroupLimits: CgroupLimits;
  /** Whether anything is measured: `monitoring.enabled`. */
  readonly isMonitored: boolean;
  readonly prefix: string;
  /** Whether they are `defaults`: servers may set the other option. */
  readonly isDefaults: boolean;
}

/** The options that nothing watches where monitoring is off. */
const WATCHED = {
  memoryLimitMB: Infinity,
  cpuLimitPercent: Infinity,
  maxTreeProcesses: Infinity,
  restartOnMemoryLeak: false,
} as const;

/** Adds a problem for each option that contradicts another, or has no effect; of two numbers a default gives way. */
export function readResources(
  options: ResourceOptions,
  surroundings: Surroundings,
  problems: Problems,
): Pick<ResourceOptions, 'expectedProcesses'> {
  const { own, prefix, isDefaults } = surroundings;
  checkWatched(own, Object.entries(WATCHED), surroundings, problems);
  checkAbovePool(options, surroundings, problems);
  checkKernel(options, surroundings, problems);
  if (!isDefaults) checkCpuWindow(options, own, prefix, problems);
  const { expectedProcesses, maxTreeProcesses } = options;
  if (expectedProcesses === undefined || expectedProcesses <= maxTreeProcesses) return { expectedProcesses };
  if (own.expectedProcesses === undefined) return { expectedProcesses: maxTreeProcesses };
  const most = named('maxTreeProcesses', own.maxTreeProcesses);
  problems.wrong.push(
    `${prefix}expectedProcesses must not be above ${most} (${maxTreeProcesses}), got ${expectedProcesses}`,
  );
  return { expectedProcesses };
}

/** An option, by the place where the host wrote it: a limit of `defaults` is never left out in silence. */
function named(option: string, own: unknown): string {
  return own === undefined ? `defaults.${option}` : option;
}

/** A window without a limit has no effect. */
export function checkCpuWindow(
  { cpuLimitPercent, cpuWindow }: Pick<ResourceOptions, 'cpuLimitPercent' | 'cpuWindow'>,
  own: unknown,
  prefix: string,
  problems: Problems,
): void {
  if (!isPlainObject(own) || own.cpuWindow !== cpuWindow) return;
  if (cpuLimitPercent !== Infinity || own.cpuLimitPercent !== undefined) return;
  problems.wrong.push(`${prefix}cpuWindow must not be set without cpuLimitPercent: it has no effect alone`);
}

/** An option without effect is refused. @param off the value of each with which it watches nothing */
export function checkWatched(
  own: Readonly<Record<string, unknown>>,
  off: readonly (readonly [string, unknown])[],
  { isMonitored, prefix }: Pick<Surroundings, 'isMonitored' | 'prefix'>,
  problems: Problems,
): void {
  if (isMonitored) return;
  for (const [name, without] of off) {
    if (own[name] === undefined || own[name] === without) continue;
    problems.wrong.push(
      `${prefix}${name} must not be set where monitoring.enabled is false, as in a global pool that was made without options: nothing would be measured`,
    );
  }
}

/** A tree must not be allowed more than all trees together. */
function checkAbovePool(options: ResourceOptions, { own, limits, prefix }: Surroundings, problems: Problems): void {
  for (const name of ['memoryLimitMB', 'cpuLimitPercent'] as const) {
    const [value, most] = [options[name], limits[name]];
    if (own[name] === undefined || value === undefined || value === Infinity) continue;
    if (most !== undefined && value > most)
      problems.wrong.push(`${prefix}${name} must not be above limits.${name} (${most}), got ${value}`);
  }
}

/** The kernel would kill a process of the tree before the pool could replace the tree. */
function checkKernel(options: ResourceOptions, { own, cgroupLimits, prefix }: Surroundings, problems: Problems): void {
  const { memoryLimitMB } = options;
  const { memoryMB } = cgroupLimits;
  const ownKernel = isPlainObject(own.cgroupLimits) ? own.cgroupLimits.memoryMB : undefined;
  if (own.memoryLimitMB === undefined && ownKernel === undefined) return;
  if (memoryLimitMB === Infinity || memoryMB === undefined) return;
  if (memoryMB >= memoryLimitMB) return;
  const contradiction =
    ownKernel === undefined
      ? `memoryLimitMB must not be above defaults.cgroupLimits.memoryMB (${memoryMB}), got ${memoryLimitMB}`
      : `cgroupLimits.memoryMB must not be below ${named('memoryLimitMB', own.memoryLimitMB)} (${memoryLimitMB}), got ${memoryMB}`;
  problems.wrong.push(
    `${prefix}${contradiction}: the kernel would kill a process of the server before the pool replaces it`,
  );
}
