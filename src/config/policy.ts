import {
  cgroupLimitFields,
  checkContainment,
  markerFields,
  type ResolvedContainment,
  rlimitFields,
} from './containment-options.js';
import { type Fields, isPlainObject, type Resolved } from './fields.js';
import { healthFields, type ResolvedHealth } from './health-options.js';
import { misfitsOf, sharingOf, withDefaults } from './inherited-policy.js';
import type { ResolvedLimits } from './limit-options.js';
import type { ServerPolicy, Sharing } from './options.js';
import { DEFAULT_MAX_INSTANCES, type policyFields, restartFields } from './policy-fields.js';
import { type Problems, readOptions } from './read-options.js';
import { readResources } from './resource-options.js';

/** What a policy is read from. */
interface Source {
  readonly options: Resolved<typeof policyFields>;
  /** What the host wrote into this one object: a definition, or `defaults`. Only that can be wrong. */
  readonly own: Readonly<Record<string, unknown>>;
  /** What holds where the object says nothing. */
  readonly defaults: ServerPolicy;
  readonly limits: ResolvedLimits;
  /** Whether anything is measured. */
  readonly isMonitored: boolean;
  readonly prefix: string;
  readonly isDefaults: boolean;
}

interface Policy extends ResolvedContainment {
  readonly sharing: Sharing;
  readonly maxInstances: number;
  readonly minIdle: number;
  readonly expectedProcesses: number | undefined;
  readonly restart: Resolved<typeof restartFields>;
  readonly health: ResolvedHealth;
}

/** Checks the options of `defaults` for themselves: the servers that get them may be added only later. */
export function checkDefaults(
  options: Resolved<typeof policyFields>,
  own: Readonly<Record<string, unknown>>,
  { limits, isMonitored }: Pick<Source, 'limits' | 'isMonitored'>,
  problems: Problems,
): Resolved<typeof policyFields> {
  const before = problems.wrong.length;
  const source = { options, own, defaults: {}, limits, isMonitored, prefix: 'defaults.', isDefaults: true };
  const policy = readPolicy(source, problems);
  if (options.era !== 'legacy') {
    problems.unsupported.push(`defaults.era: '${options.era}' is not supported by this version; use 'legacy'`);
  }
  // Nested values that are wrong were replaced: each is reported once, and not for every server again.
  const { restart, health, markers, rlimits, cgroupLimits } = policy;
  return problems.wrong.length === before ? options : { ...options, restart, health, markers, rlimits, cgroupLimits };
}

/** Checks the options of a policy that depend on each other, and resolves them. */
export function readPolicy(source: Source, problems: Problems): Policy {
  const { options, own, prefix, isDefaults } = source;
  const sharing = sharingOf(options);
  const valid = Object.fromEntries(
    Object.entries(own).filter(([key, value]) => options[key as keyof typeof options] === value),
  );
  for (const wrong of misfitsOf(valid, sharing, isDefaults)) problems.wrong.push(prefix + wrong);
  const maxInstances = readMaxInstances(source, problems);
  if (options.minIdle > maxInstances && own.minIdle !== undefined) {
    problems.wrong.push(`${prefix}minIdle must not be above maxInstances (${maxInstances}), got ${options.minIdle}`);
  }
  const minIdle = Math.min(options.minIdle, maxInstances);
  const containment = readContainment(source, problems);
  const { cgroupLimits } = containment;
  return {
    sharing,
    maxInstances,
    minIdle,
    restart: readRestart(source, problems),
    health: readHealth(source, problems),
    ...containment,
    ...readResources(options, { ...source, cgroupLimits }, problems),
  };
}

/** `Infinity` is no cap of its own: those of the pool hold. */
function readMaxInstances({ options, own, limits, prefix }: Source, problems: Problems): number {
  const { maxProcesses, maxProcessesFrom, maxProcessesPerServer } = limits;
  const cap = Math.min(maxProcesses, maxProcessesPerServer);
  const { maxInstances = Math.min(DEFAULT_MAX_INSTANCES, cap) } = options;
  if (maxInstances === Infinity) return maxProcessesPerServer;
  if (maxInstances <= cap) return maxInstances;
  // With `auto` the cap depends on the machine: a host may set what suits a larger one.
  const isAuto = maxProcessesFrom !== 'option' && cap === maxProcesses;
  if (own.maxInstances !== undefined && !isAuto) {
    problems.wrong.push(
      `${prefix}maxInstances must not be above ${cap}, which limits.${
        cap === maxProcesses ? 'maxProcesses' : 'maxProcessesPerServer'
      } allows, got ${maxInstances}; Infinity means no cap of its own`,
    );
  }
  return cap;
}

/** Of two delays that contradict each other, the one that this object does not set gives way. */
function readRestart({ options, own, defaults, prefix }: Source, problems: Problems): Policy['restart'] {
  const restart = readNested(restartFields, options.restart, defaults.restart, `${prefix}restart`, problems);
  const { minDelay, maxDelay } = restart;
  if (minDelay <= maxDelay) return restart;
  const { minDelay: ownMin, maxDelay: ownMax } = isPlainObject(own.restart) ? own.restart : {};
  if (ownMin === undefined) return { ...restart, minDelay: maxDelay };
  if (ownMax === undefined) return { ...restart, maxDelay: minDelay };
  problems.wrong.push(`${prefix}restart.minDelay must not be above maxDelay (${maxDelay}), got ${minDelay}`);
  return restart;
}

/**
 * A check must end before the next one begins, and `unhealthyAfter` must leave time for one, in which the server can show that it
 * lives. What the host has not set gives way.
 */
function readHealth({ options, own, defaults, prefix }: Source, problems: Problems): Policy['health'] {
  const health = readNested(healthFields, options.health, defaults.health, `${prefix}health`, problems);
  const given = isPlainObject(own.health) ? own.health : {};
  const isOwn = (name: keyof Policy['health']) => given[name] !== undefined;
  const { unhealthyAfter } = health;
  const interval = isOwn('interval') ? health.interval : Math.min(health.interval, Math.floor(unhealthyAfter / 2));
  const timeout = isOwn('timeout') ? health.timeout : Math.min(health.timeout, interval);
  const least = interval + timeout;
  if (timeout > interval)
    problems.wrong.push(`${prefix}health.timeout must not be above interval (${interval}), got ${timeout}`);
  else if (unhealthyAfter < least && isOwn('unhealthyAfter'))
    problems.wrong.push(
      `${prefix}health.unhealthyAfter must not be below interval and timeout together (${least}), got ${unhealthyAfter}: the server could not show before that it lives`,
    );
  return { ...health, interval, timeout, unhealthyAfter: Math.max(unhealthyAfter, least) };
}

function readContainment({ options, own, defaults, prefix }: Source, problems: Problems): ResolvedContainment {
  const { containment, noNewPrivileges } = options;
  const markers = readNested(markerFields, options.markers, defaults.markers, `${prefix}markers`, problems);
  const rlimits = readNested(rlimitFields, options.rlimits, defaults.rlimits, `${prefix}rlimits`, problems);
  const path = `${prefix}cgroupLimits`;
  const cgroupLimits = readNested(cgroupLimitFields, options.cgroupLimits, defaults.cgroupLimits, path, problems);
  // A limit of the defaults is never left out in silence. What contradicts itself in the defaults was reported there.
  if (own.containment !== undefined || own.markers !== undefined || own.cgroupLimits !== undefined)
    checkContainment({ containment, markers, cgroupLimits }, prefix, problems);
  return { containment, markers, rlimits, noNewPrivileges, cgroupLimits };
}

/** Reads an option that has fields of its own. A field that is not given has its value in `defaults`. */
function readNested<F extends Fields>(
  fields: F,
  given: unknown,
  defaults: object | undefined,
  path: string,
  problems: Problems,
): Resolved<F> {
  return readOptions(fields, isPlainObject(given) ? withDefaults(defaults ?? {}, given) : given, path, problems);
}
