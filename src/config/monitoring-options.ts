import {
  about,
  callback,
  describeValue,
  type Field,
  flag,
  type Given,
  nested,
  oneOf,
  type Resolved,
} from './fields.js';
import { folders, type ResolvedFolderBudget } from './folder-options.js';
import { count, duration, noShorter, numeric, shareOfLimit, zeroOrNoShorter } from './number-fields.js';

/** A level at which the pool acts; below all of them it is `normal`. The lowest stands first. */
export const ALERT_LEVELS = ['warning', 'critical', 'nuclear', 'emergency'] as const;

/** A level at which the pool acts: `warning`, `critical`, `nuclear`, `emergency`. */
export type AlertLevel = (typeof ALERT_LEVELS)[number];

/**
 * What a level can do. Each level also emits `level:changed`, and shortens the interval of samples.
 *
 * - `end-idle`: ends trees that no lease uses.
 * - `refuse-starts`: refuses calls that need a start (`OVERLOADED`) while the level lasts.
 * - `end-growing`: ends the trees that grow fastest, no more than needed. None at a level that memory has reached.
 * - `end-unexpected`: ends the trees that have more processes than expected. None at a level that memory has reached.
 * - `end-all`: ends every tree, below `nuclear` no essential one; the pool stays open.
 * - `call-host`: calls `onEmergency`, if the host has set it.
 */
const LEVEL_ACTIONS = ['refuse-starts', 'end-idle', 'end-growing', 'end-unexpected', 'end-all', 'call-host'] as const;

/**
 * What a level can do: `refuse-starts`, `end-idle`, `end-growing`, `end-unexpected`, `end-all`, `call-host`; see
 * `monitoring.levels.actions`.
 */
export type LevelAction = (typeof LEVEL_ACTIONS)[number];

/** A level that was reached, and by what. */
export interface ReachedLevel {
  /** The level that was reached. */
  readonly level: AlertLevel;
  /** What was measured: processes beyond what is expected, or MB (`by`). */
  readonly measured: number;
  /** The threshold of the level, in the same unit. */
  readonly threshold: number;
  /** Whether the level was reached by the number of processes or by memory. */
  readonly by: 'processes' | 'memory';
}

/** Why `onEmergency` is called. */
export interface EmergencyNotice extends ReachedLevel {
  /** The servers that have more than expected, the one with most first. */
  readonly names: readonly string[];
}

/** Which actions each level takes, whatever their order. Without a list they are those that `enforce` decides. */
export const actionFields = {
  /** At `warning`. Default: none. */
  warning: about('what is done at the level `warning`, in place of what `enforce` decides', actions()),
  /** At `critical`. Default: `end-idle`; with `enforce` `refuse-starts`, `end-idle`, `end-growing`. */
  critical: about('what is done at the level `critical`, in place of what `enforce` decides', actions()),
  /** At `nuclear`. Default: `end-idle`; with `enforce` `refuse-starts`, `end-idle`, `end-unexpected`. */
  nuclear: about('what is done at the level `nuclear`, in place of what `enforce` decides', actions()),
  /** At `emergency`. Default: `end-idle`, `call-host`; with `enforce` `refuse-starts`, `end-all`, `call-host`. */
  emergency: about('what is done at the level `emergency`, in place of what `enforce` decides', actions()),
};

/** Of samples, and of what is measured by them, ms. A value below it was most likely meant in seconds. */
const LEAST_INTERVAL = 100;

/** How long something must last before the pool acts on it. */
export const windowFields = {
  /**
   * A value must be over its limit for more than half of this time, in milliseconds. Default: 30,000, or 6 times `interval` if
   * that is more. At least 100.
   */
  long: about(
    'a limit must be exceeded for more than half of this time; at least 6 intervals, unless it is set',
    noShorter(30_000, LEAST_INTERVAL),
  ),
  /**
   * And for more than half of this time, so that a peak that has passed is no reason, in milliseconds. Default: 10,000, or 2
   * times `interval` if that is more. At least 100.
   * @see https://github.com/facebookincubator/oomd/blob/main/docs/core_plugins.md for the rule of two windows
   */
  short: about(
    'a limit must be exceeded for more than half of this time, too; at least 2 intervals, unless it is set',
    noShorter(10_000, LEAST_INTERVAL),
  ),
};

/** Levels by the number of processes beyond what healthy trees need. The defaults are those of issue 11. */
export const levelFields = {
  /**
   * Whether levels act against trees with leases, and refuse starts. Without it they report, sample faster, end idle trees, and
   * call `onEmergency`; and so does, with it, a level that memory has reached while `limits.memoryLimitMB` is not set.
   * Default: false.
   */
  enforce: about('whether levels act against trees with leases, and refuse starts', flag(false)),
  /** Processes beyond what is expected at which the level is `warning`. Default: 15. */
  warning: about('processes beyond what is expected at which `warning` begins', count(15, 1)),
  /** The same for `critical`. Default: 30. */
  critical: about('processes beyond what is expected at which `critical` begins', count(30, 1)),
  /** The same for `nuclear`. Default: 50. */
  nuclear: about('processes beyond what is expected at which `nuclear` begins', count(50, 1)),
  /** The same for `emergency`, which also begins at twice the memory limit of the pool. Default: 100. */
  emergency: about(
    'processes beyond what is expected at which `emergency` begins; also at twice the memory limit of the pool',
    count(100, 1),
  ),
  /** How long the level must have been lower before it is left, in milliseconds: 0, or at least 100. Default: 30,000. */
  cooldown: about('a level is left when it was lower for this time', zeroOrNoShorter(30_000, LEAST_INTERVAL)),
  /**
   * The actions of a level, in place of those that `enforce` decides. They are taken with and without `enforce`. At a level that
   * memory has reached while `limits.memoryLimitMB` is not set, no start is refused, and `end-all` ends idle trees only.
   */
  actions: about('a list of actions for each level, in place of the usual ones', nested(actionFields), {
    shownDefault: 'by `enforce`',
  }),
};

/** A number of processes that grows fast is reported as `growth:detected`, with the servers that grow. */
export const growthFields = {
  /** Processes that are added within `within`; also the number of starts. Default: 30. */
  processes: about('so many more processes, or starts, within `within` are reported as growth', count(30, 1)),
  /** In milliseconds, at least 100. Default: 30,000. */
  within: about('the time in which so many more are growth', noShorter(30_000, LEAST_INTERVAL)),
};

/** When memory that grows is a leak. */
export const leakFields = {
  /**
   * The time over which memory is compared, in milliseconds; at least 4,000, and 6 times `interval`. Default: 3,600,000, or 12
   * times `interval` if that is more.
   */
  window: about(
    'the time over which memory is compared; at least 6 intervals, and 12 unless it is set',
    noShorter(3_600_000, 4_000),
  ),
  /** The time after its start in which the memory of an instance may grow, in milliseconds. Default: 1,800,000. */
  warmup: about('the time after its start in which the memory of an instance may grow', duration(1_800_000)),
  /** Least growth that is a leak, in MB per hour. Default: 5. */
  minSlopeMBPerHour: about(
    'least growth that is a leak, MB per hour',
    numeric(
      5,
      'a finite number of megabytes per hour above 0',
      { exclusiveMinimum: 0 },
      (value) => value > 0 && Number.isFinite(value),
    ),
  ),
};

/** What servers cost, how often it is measured, and what is done about it. Source: issue 11, and docs/monitoring.md. */
export const monitoringFields = {
  /**
   * Whether anything is measured. Without it, limits of memory, CPU and processes of servers are refused, since they would
   * have no effect; `monitor.start()` only reports then. Default: true; false in a global pool that was made without options.
   */
  enabled: about(
    'whether anything is measured; false in a global pool that was made without options; then limits are refused',
    flag(true),
  ),
  /**
   * Time between two samples, in milliseconds. It is shorter from the level `warning` on, and longer while no server runs.
   * At least 100. Default: 5,000, or the shortest of `windows` if that is less.
   */
  interval: about(
    'time between two samples, at least 100; shorter from `warning` on',
    noShorter(5_000, LEAST_INTERVAL),
  ),
  /** How long something must last. */
  windows: about(
    'how long something must last before the pool acts on it ([fields](monitoring.md))',
    nested(windowFields),
  ),
  /** By how many processes there are too many, and what is done then. */
  levels: about(
    'by how many processes there are too many, and what is done then ([fields](monitoring.md))',
    nested(levelFields),
  ),
  /** When the number of processes grows too fast. */
  growth: about('when the number of processes grows too fast ([fields](monitoring.md))', nested(growthFields)),
  /** When memory that grows is a leak. */
  leak: about('when memory that grows is a leak ([fields](monitoring.md))', nested(leakFields)),
  /** The share of a limit at which it is near, in percent: `level` of a tree is `warning`. Default: 75. */
  warningPercent: about('share of a limit at which it is near', shareOfLimit(75)),
  /** The share of a limit at which idle trees end for it, in percent: `level` of a tree is `critical`. Default: 90. */
  criticalPercent: about('share of a limit at which idle trees end for it', shareOfLimit(90)),
  /** The share of the memory of the machine, or of its container, at which that is near its end, in percent. Default: 80. */
  hostMemoryPercent: about(
    'share of the memory of the machine, or of its container, at which that is near its end',
    shareOfLimit(80),
  ),
  /** Folders with a budget. Default: `[]`. */
  folders: about(
    '`{ path, limitMB, onExceeded }`: [folders with a budget](monitoring.md#folders-with-a-budget)',
    folders(),
  ),
  /** Whether actions are only reported (`action:taken` with `dryRun: true`), and not carried out. Default: false. */
  dryRun: about('actions are reported, each once as long as its reason lasts, and not taken', flag(false)),
  /** Called at the level `emergency`, for example to restart the container. Default: none. */
  onEmergency: about(
    'called at the level `emergency`, for example to restart the container',
    callback<(notice: EmergencyNotice) => unknown>(),
  ),
};

/** The option `monitoring`. */
export type MonitoringOptions = Given<typeof monitoringFields>;

/** The option `monitoring` with every default filled in. */
export interface ResolvedMonitoring
  extends Omit<Resolved<typeof monitoringFields>, 'windows' | 'levels' | 'growth' | 'leak' | 'folders'> {
  readonly windows: Resolved<typeof windowFields>;
  readonly levels: Omit<Resolved<typeof levelFields>, 'actions'> & {
    /** What each level does. */
    readonly actions: Readonly<Record<AlertLevel, readonly LevelAction[]>>;
  };
  readonly growth: Resolved<typeof growthFields>;
  readonly leak: Resolved<typeof leakFields>;
  readonly folders: readonly ResolvedFolderBudget[];
}

function actions(): Field<readonly LevelAction[] | undefined> {
  const word = oneOf(LEVEL_ACTIONS[0], ...LEVEL_ACTIONS);
  return {
    default: undefined,
    check(value) {
      if (!Array.isArray(value)) return `an array of actions, got ${describeValue(value)}`;
      const wrong = value.map((item) => word.check(item)).find((problem) => problem !== undefined);
      return wrong === undefined ? undefined : `an array, each item ${wrong}`;
    },
    schema: { type: 'array', items: word.schema },
  };
}
