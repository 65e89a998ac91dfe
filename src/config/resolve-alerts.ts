import { type AlertOptions, alertFields, type ResolvedAlerts, tierFields } from './alert-options.js';
import { type Problems, readOptions, refuse } from './read-options.js';
import { snapshot } from './snapshot.js';

/** Reads the option `alerts`. */
export function readAlerts(given: unknown, problems: Problems, path = 'alerts'): ResolvedAlerts {
  const prefix = path === '' ? '' : `${path}.`;
  const options = readOptions(alertFields, given, path, problems);
  const tiers = options.tiers.map((tier, index) => readOptions(tierFields, tier, `${prefix}tiers[${index}]`, problems));
  for (const [index, { after }] of tiers.entries()) {
    const before = tiers[index - 1];
    if (before === undefined || after >= before.after) continue;
    const [name, other] = [`${prefix}tiers[${index}].after`, `${prefix}tiers[${index - 1}].after`];
    problems.wrong.push(`${name} must not be below ${other} (${before.after}), got ${after}`);
  }
  return { ...options, tiers };
}

/**
 * The options of an alert manager that belongs to no pool.
 * @throws PoolError `INVALID_OPTIONS` that lists every problem
 */
export function resolveAlertOptions(written: AlertOptions): ResolvedAlerts {
  const what = 'the options of AlertManager';
  const problems: Problems = { wrong: [], unsupported: [] };
  const options = readAlerts(snapshot(written, what), problems, '');
  refuse(problems, what);
  return options;
}
