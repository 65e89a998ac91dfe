import {
  absolutePath,
  callback,
  describeValue,
  type Field,
  flag,
  type Given,
  isPlainObject,
  nested,
  oneOf,
  type Resolved,
} from './fields.js';
import { count, duration, megabytes, noShorter, numeric, shareOfLimit, zeroOrNoShorter } from './number-fields.js';

/** A level at which the pool acts; below all of them it is `normal`. The lowest stands first. */
export const ALERT_LEVELS = ['warning', 'critical', 'nuclear', 'emergency'] as const;

/** A level at which the pool acts. */
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

/** What a level can do: see `monitoring.levels.actions`. */
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

/** A folder over its budget, as `onExceeded` gets it. */
export interface ExceededFolder {
  /** As it was given. */
  readonly path: string;
  /** Its budget, in MB. */
  readonly limitMB: number;
  /** What the files in it take on the disk, in MB. A file with several names counts once. */
  readonly sizeMB: number;
  /** Number of files. */
  readonly files: number;
}

/** Which actions each level takes, whatever their order. Without a list they are those that `enforce` decides. */
export const actionFields = {
  /** At `warning`. Default: none. */
  warning: actions(),
  /** At `critical`. Default: `end-idle`; with `enforce` `refuse-starts`, `end-idle`, `end-growing`. */
  critical: actions(),
  /** At `nuclear`. Default: `end-idle`; with `enforce` `refuse-starts`, `end-idle`, `end-unexpected`. */
  nuclear: actions(),
  /** At `emergency`. Default: `end-idle`, `call-host`; with `enforce` `refuse-starts`, `end-all`, `call-host`. */
  emergency: actions(),
};

/** Of samples, and of what is measured by them, ms. A value below it was most likely meant in seconds. */
const LEAST_INTERVAL = 100;

/** More than a disk has. */
const MOST_FOLDER_MB = 100_000_000;

/** How long something must last before the pool acts on it. */
export const windowFields = {
  /**
   * A value must be over its limit for more than half of this time, in milliseconds. Default: 30,000, or 6 times `interval` if
   * that is more. At least 100.
   */
  long: noShorter(30_000, LEAST_INTERVAL),
  /**
   * And for more than half of this time, so that a peak that has passed is no reason, in milliseconds. Default: 10,000, or 2
   * times `interval` if that is more. At least 100.
   * @see https://github.com/facebookincubator/oomd/blob/main/docs/core_plugins.md for the rule of two windows
   */
  short: noShorter(10_000, LEAST_INTERVAL),
};

/** Levels by the number of processes beyond what healthy trees need. The defaults are those of issue 11. */
export const levelFields = {
  /**
   * Whether levels act against trees with leases, and refuse starts. Without it they report, sample faster, end idle trees, and
   * call `onEmergency`; and so does, with it, a level that memory has reached while `limits.memoryLimitMB` is not set.
   * Default: false.
   */
  enforce: flag(false),
  /** Processes beyond what is expected at which the level is `warning`. Default: 15. */
  warning: count(15, 1),
  /** The same for `critical`. Default: 30. */
  critical: count(30, 1),
  /** The same for `nuclear`. Default: 50. */
  nuclear: count(50, 1),
  /** The same for `emergency`, which also begins at twice the memory limit of the pool. Default: 100. */
  emergency: count(100, 1),
  /** How long the level must have been lower before it is left, in milliseconds: 0, or at least 100. Default: 30,000. */
  cooldown: zeroOrNoShorter(30_000, LEAST_INTERVAL),
  /**
   * The actions of a level, in place of those that `enforce` decides. They are taken with and without `enforce`. At a level that
   * memory has reached while `limits.memoryLimitMB` is not set, no start is refused, and `end-all` ends idle trees only.
   */
  actions: nested(actionFields),
};

/** A number of processes that grows fast is reported as `growth:detected`, with the servers that grow. */
export const growthFields = {
  /** Processes that are added within `within`; also the number of starts. Default: 30. */
  processes: count(30, 1),
  /** In milliseconds, at least 100. Default: 30,000. */
  within: noShorter(30_000, LEAST_INTERVAL),
};

/** When memory that grows is a leak. */
export const leakFields = {
  /**
   * The time over which memory is compared, in milliseconds; at least 4,000, and 6 times `interval`. Default: 3,600,000, or 12
   * times `interval` if that is more.
   */
  window: noShorter(3_600_000, 4_000),
  /** The time after its start in which the memory of an instance may grow, in milliseconds. Default: 1,800,000. */
  warmup: duration(1_800_000),
  /** Least growth that is a leak, in MB per hour. Default: 5. */
  minSlopeMBPerHour: numeric(
    5,
    'a finite number of megabytes per hour above 0',
    (value) => value > 0 && Number.isFinite(value),
  ),
};

/** A folder with a budget. */
export const folderFields = {
  /** Absolute path. The folder itself must not be a symbolic link. Required. */
  path: { ...absolutePath(), required: true } as Field<string> & { required: true },
  /** Most that its files may use, in MB. Required. */
  limitMB: { ...megabytes(1, MOST_FOLDER_MB), required: true } as Field<number> & { required: true },
  /**
   * What is done when they use more. Default: `report`.
   *
   * - `report`: `limit:exceeded` only.
   * - `prune-oldest`: the files that were not changed for longest are deleted, until the rest fits. It never leaves the
   *   folder, follows no link, spares files that are open, changed within 60 s or have several names, and refuses the home of
   *   this user and a folder that other users, or a group, can write. On Linux only.
   * - a function: it is called with the folder, at each look (once a minute) while it is over its budget.
   */
  onExceeded: whenExceeded(),
};

/** One folder with a budget: see `monitoring.folders`. */
export type FolderBudget = Given<typeof folderFields>;
/** The same with its defaults. */
export type ResolvedFolderBudget = Resolved<typeof folderFields>;

/** What servers cost, how often it is measured, and what is done about it. Source: issue 11, and docs/monitoring.md. */
export const monitoringFields = {
  /**
   * Whether anything is measured. Without it, limits of memory, CPU and processes of servers are refused, since they would
   * have no effect; `monitor.start()` only reports then. Default: true; false in a global pool that was made without options.
   */
  enabled: flag(true),
  /**
   * Time between two samples, in milliseconds. It is shorter from the level `warning` on, and longer while no server runs.
   * At least 100. Default: 5,000, or the shortest of `windows` if that is less.
   */
  interval: noShorter(5_000, LEAST_INTERVAL),
  /** How long something must last. */
  windows: nested(windowFields),
  /** By how many processes there are too many, and what is done then. */
  levels: nested(levelFields),
  /** When the number of processes grows too fast. */
  growth: nested(growthFields),
  /** When memory that grows is a leak. */
  leak: nested(leakFields),
  /** The share of a limit at which it is near, in percent: `level` of a tree is `warning`. Default: 75. */
  warningPercent: shareOfLimit(75),
  /** The share of a limit at which idle trees end for it, in percent: `level` of a tree is `critical`. Default: 90. */
  criticalPercent: shareOfLimit(90),
  /** The share of the memory of the machine, or of its container, at which that is near its end, in percent. Default: 80. */
  hostMemoryPercent: shareOfLimit(80),
  /** Folders with a budget. Default: `[]`. */
  folders: folders(),
  /** Whether actions are only reported (`action:taken` with `dryRun: true`), and not carried out. Default: false. */
  dryRun: flag(false),
  /** Called at the level `emergency`, for example to restart the container. Default: none. */
  onEmergency: callback<(notice: EmergencyNotice) => unknown>(),
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
  };
}

function whenExceeded(): Field<'report' | 'prune-oldest' | ((folder: ExceededFolder) => unknown)> {
  const word = oneOf('report', 'report', 'prune-oldest');
  return {
    default: 'report',
    check: (value) => (typeof value === 'function' ? undefined : word.check(value)?.concat('; or a function')),
  };
}

/** Each item is read by its own table in `resolve-monitoring.ts`. */
function folders(): Field<readonly FolderBudget[]> {
  return {
    default: [],
    check(value) {
      if (!Array.isArray(value)) return `an array of folders ({ path, limitMB }), got ${describeValue(value)}`;
      const wrong = value.findIndex((item) => !isPlainObject(item));
      return wrong === -1 ? undefined : `an array of folders ({ path, limitMB }); item ${wrong} is no object`;
    },
  };
}
