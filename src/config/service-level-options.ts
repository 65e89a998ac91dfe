import { about, flag, type Given, isPlainObject, nested, type Resolved } from './fields.js';
import { count, deadline, megabytes, percentOfAll, percentThatMayFail } from './number-fields.js';
import { type Problems, readOptions } from './read-options.js';
import { didYouMeanIn } from './similar-names.js';

/** What is expected of a pool and of each of its servers. The defaults are those of issue 12. */
export const targetFields = {
  /** Least share of calls of `getServer()` that get a server and of requests that get an answer, in percent. Default: 99.9. */
  availabilityPercent: about(
    'least share of calls of `getServer()` that got a server, and of requests that got an answer; within 30 days',
    percentOfAll(99.9),
  ),
  /** The share of requests without an answer, or with an error of the server, is below this, in percent. Default: 1. */
  failurePercent: about(
    'requests without an answer, or with an error of the server, are below this; within 7 days',
    percentThatMayFail(1),
  ),
  /** 95 % of the calls of `getServer()` wait no longer, in milliseconds. Default: 500. */
  acquireTime: about(
    '95 % of the calls of `getServer()` wait no longer, apart from a start; within 7 days',
    deadline(500),
  ),
  /** 95 % of the restarts after a failure are faster, in milliseconds. Default: 10,000. */
  restartTime: about('95 % of the restarts after a failure are faster; within 7 days', deadline(10_000)),
  /** 95 % of the servers that do not answer are found faster, in milliseconds. Default: 60,000. */
  detectionTime: about('95 % of the servers that do not answer are found faster; within 7 days', deadline(60_000)),
  /** 95 % of the starts are faster, in milliseconds. Default: 60,000. */
  startupTime: about('95 % of the starts are faster; within 7 days', deadline(60_000)),
  /** 95 % of the trees end faster, in milliseconds. Default: 30,000. */
  shutdownTime: about(
    '95 % of the trees end faster; for the pool its own `shutdown()` counts, too; within 7 days',
    deadline(30_000),
  ),
  /** Most failures of servers that were ready, within 7 days. Default: 0. */
  unexpectedRestarts: about('most failures of servers that were ready; within 7 days', count(0, 0)),
  /** Most limits that are exceeded, and levels from `critical` on, within 7 days. Default: 0. */
  criticalViolations: about(
    'most limits that were exceeded, and levels of the pool from `critical` on; within 7 days',
    count(0, 0),
  ),
  /** Most times that memory comes near its end within 7 days. Default: 0. */
  pressureEvents: about(
    'most times that the memory of all trees, or of the host, came near its end; within 7 days',
    count(0, 0),
  ),
  /** Fewer alerts than this within a day, of severity `warning` and `critical`. Default: 5. */
  alertsPerDay: about('fewer alerts than this, of `warning` and `critical`; within 1 day', count(5, 1)),
  /** A tree has less unique memory than this, in MB. Default: 500. */
  memoryMB: about('the largest unique memory of one tree is below this; within 7 days', megabytes(500)),
  /** So many leases are held at once without a queue of callers that grows. Default: 250. */
  concurrentSessions: about('so many leases at once without a queue that grows; within 7 days', count(250, 1)),
};

/** Whether it is counted how well servers serve, and what is expected. Source: issue 12, and docs/service-levels.md. */
export const serviceLevelFields = {
  /**
   * Whether anything is counted. Without it `serviceLevels()` has no samples, and no level is breached. Default: true; false in a
   * global pool that was made without options.
   */
  enabled: about('whether anything is counted; false in a global pool that was made without options', flag(true)),
  /** What is expected of the pool and of each server. */
  targets: about(
    'what is expected of the pool and of each server ([targets](service-levels.md))',
    nested(targetFields),
  ),
};

/** The option `serviceLevels`. */
export type ServiceLevelOptions = Given<typeof serviceLevelFields>;

/** `serviceLevels.targets` with every default filled in. */
export type ServiceLevelTargets = Resolved<typeof targetFields>;

/** The option `serviceLevels` with every default filled in. */
export interface ResolvedServiceLevels {
  readonly enabled: boolean;
  readonly targets: ServiceLevelTargets;
}

const HINT = didYouMeanIn([['targets', targetFields]]);

export function readServiceLevels(given: unknown, problems: Problems): ResolvedServiceLevels {
  const { enabled, targets } = readOptions(serviceLevelFields, given, 'serviceLevels', problems, HINT);
  if (!enabled && isPlainObject(targets) && Object.keys(targets).length > 0) {
    const why = 'serviceLevels.targets must not be set where serviceLevels.enabled is false: nothing is counted there';
    problems.wrong.push(why);
  }
  return { enabled, targets: readOptions(targetFields, targets, 'serviceLevels.targets', problems) };
}
