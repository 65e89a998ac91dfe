import { availableParallelism } from 'node:os';
import { about, describeValue, type Field, nested, optional, type Resolved } from './fields.js';
import { count, megabytesOrUnlimited, percentOrUnlimited } from './number-fields.js';
import type { Problems } from './read-options.js';
import { onUnmetField, type ResolvedRequirements, readRequirements, requirementFields } from './requirement-options.js';
import { numberInstead } from './written-number.js';

/** The default of `limits.maxProcesses`. */
const DEFAULT_MAX_PROCESSES = 15;

/** Budgets of a pool. */
export const limitFields = {
  /**
   * Most process trees of the pool at once: starting, running, stopping and quarantined; `Infinity`: no cap. `auto`: as many as
   * memory, process numbers and CPUs of the machine, or of its container, allow when the pool is made; `status()` shows which
   * of them decided. Default: 15.
   * @see https://github.com/metatool-ai/metamcp/issues/162 for what happens without a cap
   */
  maxProcesses: about(
    "most trees at once, ending ones too; `Infinity`: no cap; `'auto'`: by the machine",
    countOrAuto(),
  ),
  /** The same for each server. Default: `Infinity`. */
  maxProcessesPerServer: about('most trees of one server at once', count(Infinity, 1, 'unlimited')),
  /**
   * Most starts that are under way at once; others wait for their turn, first come, first served. A start has its turn until
   * it is ready or has failed, but at most 3 s; its `startTimeout` begins with its spawn. `Infinity`: no cap. Default: two for
   * each core (`os.availableParallelism()`), at least 4.
   */
  concurrentStarts: about(
    'most starts under way at once, at least 4; one counts until ready, 3 s at most',
    count(Math.max(4, availableParallelism() * 2), 1, 'unlimited'),
    { shownDefault: '2 per core' },
  ),
  /**
   * Most memory of all trees together, in MB: what no other process shares, so it is less than the sum of resident memory.
   * `Infinity`: no limit. At 100 % of it new starts wait. If the host has set it, the largest tree with a lease is replaced,
   * too. The default ends no tree with a lease, and neither does a level that it brings. Default: 4,096, or 75 % of the memory of
   * the machine, or of its container, if that is less; never less than the largest `memoryLimitMB` of a server.
   */
  memoryLimitMB: about(
    'unique memory of all trees; if you set it, the largest tree is replaced above it; less on small machines ([limits](monitoring.md))',
    optional(megabytesOrUnlimited(4_096)),
    { shownDefault: '4,096' },
  ),
  /**
   * Most CPU time of all trees together, in percent of one core. Above it the tree with a lease that uses most is replaced; no
   * idle one ends, since it uses none. Default: `Infinity`.
   */
  cpuLimitPercent: about(
    'CPU of all trees, in percent of one core; above it the one that uses most is replaced',
    percentOrUnlimited(),
  ),
  /**
   * What this host must have before a new instance is started, looked at when one is to be started. What runs is leased as
   * before, and an instance that takes the place of another is started all the same. Default: nothing.
   */
  requires: about(
    '`freeMemoryMB`, `maxLoad`, `freeProcesses`, `freeDiskMB`: what the host must have before a start ([figures](lanes.md#requires))',
    nested(requirementFields),
  ),
  /**
   * What is done when the host does not have it. `wait` (default): callers wait as for a slot, up to their deadline; the host is
   * looked at again, at least every 5 s. `fail`: they are rejected with `REQUIREMENTS_UNMET`.
   */
  onUnmet: about("callers that need a start wait, up to their deadline; `'fail'`: `REQUIREMENTS_UNMET`", onUnmetField),
};

/**
 * What decided `limits.maxProcesses`: the option itself; with `auto` what the machine has least of, or the default if
 * nothing of the machine could be read.
 */
export type MaxProcessesSource = 'option' | 'memory' | 'pids' | 'cpus' | 'default';

/** What `limits.maxProcesses: 'auto'` is on this machine. */
export interface AutoMaxProcesses {
  readonly value: number;
  readonly from: Exclude<MaxProcessesSource, 'option'>;
}

/** Where no machine is asked. */
export const NO_MACHINE = (): AutoMaxProcesses => ({ value: DEFAULT_MAX_PROCESSES, from: 'default' });

/** `limits` with every default filled in. */
export interface ResolvedLimits extends Omit<Resolved<typeof limitFields>, 'maxProcesses' | 'requires'> {
  readonly requires: ResolvedRequirements;
  readonly maxProcesses: number;
  readonly maxProcessesFrom: MaxProcessesSource;
}

/** A limit, and whether the host has set it: only then a tree with a lease is ended for it. */
export interface EffectiveLimit {
  readonly limit: number;
  readonly isSet: boolean;
}

/**
 * The limit of the memory of all trees. Pure.
 * @param defaultMB what it is on this machine if the host has set none
 * @param largestTreeMB the largest limit that the host has set for one server; a default is never below it
 */
export function poolMemoryLimit(
  { memoryLimitMB }: Pick<ResolvedLimits, 'memoryLimitMB'>,
  defaultMB: number,
  largestTreeMB = 0,
): EffectiveLimit {
  if (memoryLimitMB !== undefined) return { limit: memoryLimitMB, isSet: true };
  return { limit: Math.max(defaultMB, largestTreeMB), isSet: false };
}

/** Fills in `auto`, and adds a problem if a cap contradicts another. */
export function resolveLimits(
  given: Resolved<typeof limitFields>,
  auto: typeof NO_MACHINE,
  problems: Problems,
): ResolvedLimits {
  const options = { ...given, requires: readRequirements(given.requires, 'limits.requires', problems) };
  const { maxProcesses, maxProcessesPerServer } = options;
  if (maxProcesses === 'auto') {
    const { from, value } = auto();
    return { ...options, maxProcesses: value, maxProcessesFrom: from };
  }
  if (maxProcessesPerServer !== Infinity && maxProcessesPerServer > maxProcesses) {
    problems.wrong.push(
      `limits.maxProcessesPerServer must not be above limits.maxProcesses (${maxProcesses}), got ${maxProcessesPerServer}`,
    );
  }
  return { ...options, maxProcesses, maxProcessesFrom: 'option' };
}

function countOrAuto(): Field<number | 'auto'> {
  const number = count(DEFAULT_MAX_PROCESSES, 1, 'unlimited');
  return {
    default: DEFAULT_MAX_PROCESSES,
    check: (value) => {
      if (value === 'auto' || number.check(value) === undefined) return undefined;
      const isAuto = typeof value === 'string' && value.trim().toLowerCase() === 'auto';
      const instead = isAuto ? "; write 'auto'" : numberInstead(value, 'plain');
      return `a whole number, 1 or more, Infinity or 'auto', got ${describeValue(value)}${instead}`;
    },
    schema: { anyOf: [number.schema, { const: 'auto' }] },
  };
}
