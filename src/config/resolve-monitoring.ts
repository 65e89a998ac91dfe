import { type Fields, isPlainObject, type Resolved } from './fields.js';
import { folderFields, type ResolvedFolderBudget } from './folder-options.js';
import {
  ALERT_LEVELS,
  type AlertLevel,
  actionFields,
  growthFields,
  type LevelAction,
  leakFields,
  levelFields,
  type MonitoringOptions,
  monitoringFields,
  type ResolvedMonitoring,
  windowFields,
} from './monitoring-options.js';
import { type Problems, readOptions, refuse } from './read-options.js';
import { didYouMeanIn } from './similar-names.js';
import { snapshot } from './snapshot.js';

/** What levels do by default: nothing to a tree with a lease. */
const LENIENT: Readonly<Record<AlertLevel, readonly LevelAction[]>> = {
  warning: [],
  critical: ['end-idle'],
  nuclear: ['end-idle'],
  emergency: ['end-idle', 'call-host'],
};

/** What they do with `enforce: true`. */
const ENFORCED: Readonly<Record<AlertLevel, readonly LevelAction[]>> = {
  warning: [],
  critical: ['refuse-starts', 'end-idle', 'end-growing'],
  nuclear: ['refuse-starts', 'end-idle', 'end-unexpected'],
  emergency: ['refuse-starts', 'end-all', 'call-host'],
};

const HINT = didYouMeanIn([
  ['levels', levelFields],
  ['levels.actions', actionFields],
  ['windows', windowFields],
  ['leak', leakFields],
  ['growth', growthFields],
]);

/** With so many samples in them, the windows fit an interval. */
const SAMPLES = { short: 2, long: 6 } as const;
/** The same for `leak.window`: one in each of its twelve parts. With fewer than the least leaks are not found, or too late. */
const LEAK_SAMPLES = { usual: 12, least: 6 } as const;

/** Reads the option `monitoring`. Of values that must rise, a default gives way to what the host has set. */
export function readMonitoring(given: unknown, problems: Problems, path = 'monitoring'): ResolvedMonitoring {
  const prefix = path === '' ? '' : `${path}.`;
  const options = readOptions(monitoringFields, given, path, problems, HINT);
  const section = <F extends Fields>(fields: F, name: 'growth' | 'leak' | 'levels' | 'windows') =>
    readOptions(fields, options[name], `${prefix}${name}`, problems);
  const levels = section(levelFields, 'levels');
  const own: MonitoringOptions = isPlainObject(given) ? given : {};
  const times = readTimes(options, own, section(windowFields, 'windows'), prefix, problems);
  checkEffect(own, prefix, problems);
  return {
    ...options,
    ...times,
    ...rising(options, own, ['warningPercent', 'criticalPercent'], prefix, problems),
    levels: {
      ...levels,
      ...rising(levels, options.levels, ALERT_LEVELS, `${prefix}levels.`, problems),
      actions: readActions(levels, `${prefix}levels.actions`, problems),
    },
    growth: section(growthFields, 'growth'),
    leak: readLeak(times.interval, own, section(leakFields, 'leak'), prefix, problems),
    folders: readFolders(options.folders, `${prefix}folders`, problems),
  };
}

/**
 * The options of a monitor that belongs to no pool.
 * @throws PoolError `INVALID_OPTIONS` that lists every problem
 */
export function resolveMonitoringOptions(written: MonitoringOptions): ResolvedMonitoring {
  const what = 'the options of ResourceMonitor';
  const problems: Problems = { wrong: [], unsupported: [] };
  const given = snapshot(written, what);
  const options = readMonitoring(given, problems, '');
  if (isPlainObject(given)) checkAlone(given, problems);
  refuse(problems, what);
  return options;
}

/** An option without effect is refused. */
function checkEffect(own: MonitoringOptions, prefix: string, problems: Problems): void {
  const levels: Record<string, unknown> = isPlainObject(own.levels) ? own.levels : {};
  const lists: Record<string, unknown> = isPlainObject(levels.actions) ? levels.actions : {};
  const calls = ALERT_LEVELS.filter((level) => Array.isArray(lists[level]) && lists[level].includes('call-host'));
  if (own.enabled === false) {
    const set = [
      levels.enforce === true && 'levels.enforce',
      calls.length > 0 && 'levels.actions',
      own.onEmergency !== undefined && 'onEmergency',
    ];
    for (const name of set) {
      if (name === false) continue;
      problems.wrong.push(`${prefix}${name} must not be set where ${prefix}enabled is false: nothing is done there`);
    }
    return;
  }
  if (own.onEmergency !== undefined) return;
  for (const level of calls) {
    problems.wrong.push(
      `${prefix}levels.actions.${level} must not have 'call-host' without ${prefix}onEmergency, which it calls`,
    );
  }
}

/** The same for a monitor that has no pool, which has started nothing that it could end. */
function checkAlone(own: MonitoringOptions, problems: Problems): void {
  const levels: Record<string, unknown> = isPlainObject(own.levels) ? own.levels : {};
  if (own.enabled === false)
    problems.wrong.push('enabled must be true for a monitor without a pool: it takes samples only after start()');
  if (levels.enforce === true)
    problems.wrong.push('levels.enforce must be false for a monitor without a pool: it ends nothing');
}

/** `interval` ≤ `windows.short` ≤ `windows.long`: a window that is shorter than the interval would hold no sample. */
function readTimes(
  { interval }: Pick<ResolvedMonitoring, 'interval'>,
  own: MonitoringOptions,
  windows: ResolvedMonitoring['windows'],
  prefix: string,
  problems: Problems,
): Pick<ResolvedMonitoring, 'interval' | 'windows'> {
  const set: Record<string, unknown> = isPlainObject(own.windows) ? own.windows : {};
  const least = (name: 'short' | 'long') =>
    set[name] === windows[name] ? windows[name] : Math.max(windows[name], SAMPLES[name] * interval);
  const times = rising(
    { interval, 'windows.short': least('short'), 'windows.long': least('long') },
    { interval: own.interval, 'windows.short': set.short, 'windows.long': set.long },
    ['interval', 'windows.short', 'windows.long'],
    prefix,
    problems,
  );
  return { interval: times.interval, windows: { short: times['windows.short'], long: times['windows.long'] } };
}

/** Samples that are too far apart for its window are as good as none. A default window gives way. */
function readLeak(
  interval: number,
  own: MonitoringOptions,
  leak: ResolvedMonitoring['leak'],
  prefix: string,
  problems: Problems,
): ResolvedMonitoring['leak'] {
  const { window } = leak;
  const isSet = isPlainObject(own.leak) && own.leak.window === window;
  if (!isSet) return { ...leak, window: Math.max(window, LEAK_SAMPLES.usual * interval) };
  const { least } = LEAK_SAMPLES;
  if (window < least * interval) {
    problems.wrong.push(
      `${prefix}leak.window must not be below ${least} times ${prefix}interval (${least * interval}), else no leak is found in time, got ${window}`,
    );
  }
  return leak;
}

/**
 * Numbers that must not fall in this order. One that the host has not set gives way to those that it has set.
 * @param given what the host wrote; a value that is not in `values` was wrong, and is not set
 */
export function rising<K extends string>(
  values: Readonly<Record<K, number>>,
  given: unknown,
  order: readonly K[],
  prefix: string,
  problems: Problems,
): Record<K, number> {
  const written: Record<string, unknown> = isPlainObject(given) ? given : {};
  const set = order.filter((name) => written[name] === values[name]);
  for (const [index, name] of set.entries()) {
    const before = set[index - 1];
    if (before === undefined || values[name] >= values[before]) continue;
    problems.wrong.push(
      `${prefix}${name} must not be below ${prefix}${before} (${values[before]}), got ${values[name]}`,
    );
  }
  const fitted = order.map((name, index): [string, number] => {
    if (set.includes(name)) return [name, values[name]];
    const least = set.filter((other) => order.indexOf(other) < index).map((other) => values[other]);
    const most = set.filter((other) => order.indexOf(other) > index).map((other) => values[other]);
    return [name, Math.min(Math.max(values[name], ...least), ...most)];
  });
  return Object.fromEntries(fitted) as Record<K, number>;
}

function readActions(
  { actions, enforce }: Resolved<typeof levelFields>,
  path: string,
  problems: Problems,
): ResolvedMonitoring['levels']['actions'] {
  const own = readOptions(actionFields, actions, path, problems);
  const usual = enforce ? ENFORCED : LENIENT;
  const lists = ALERT_LEVELS.map((level) => [level, own[level] ?? usual[level]] as const);
  return Object.fromEntries(lists) as ResolvedMonitoring['levels']['actions'];
}

function readFolders(given: readonly unknown[], path: string, problems: Problems): readonly ResolvedFolderBudget[] {
  return given.map((folder, index) => readOptions(folderFields, folder, `${path}[${index}]`, problems));
}
