import type { TreeUsage } from './tree-usage.js';

/** Each launcher knows these. */
const REQUIRED = ['memoryMB', 'residentMB', 'cpuTime', 'processes', 'zombies', 'threads', 'uptime'] as const;
/** Of a detailed usage. Undefined where that is not known. */
const DETAILS = ['descriptors', 'pssMB', 'hidden'] as const;

/**
 * The same usage. Launchers of a host report their own figures. One that is no amount would make the totals of all trees NaN, and
 * NaN is below each limit.
 * @throws when a figure is missing, negative, or no finite number
 */
export function checkedUsage<U extends TreeUsage>(usage: U | undefined): U | undefined {
  if (usage === undefined) return undefined;
  if (typeof usage !== 'object' || usage === null) throw refusal('usage', usage);
  // Clocks may begin anywhere.
  if (!Number.isFinite(usage.at)) throw refusal('at', usage.at);
  for (const key of REQUIRED) if (!isAmount(usage[key])) throw refusal(key, usage[key]);
  for (const key of DETAILS) {
    const value: unknown = Reflect.get(usage, key);
    if (value !== undefined && !isAmount(value)) throw refusal(key, value);
  }
  return usage;
}

/** The sum of larger ones may not be finite. */
function isAmount(value: unknown): boolean {
  return typeof value === 'number' && value >= 0 && value <= Number.MAX_SAFE_INTEGER;
}

/** Text is not shown: it may hold secrets. */
function refusal(figure: string, value: unknown): Error {
  const shown = typeof value === 'number' || value == null ? String(value) : `a value of type ${typeof value}`;
  return new Error(`the launcher reports ${shown} as ${figure} of a tree`);
}
