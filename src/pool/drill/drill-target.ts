import type { DrillFault } from '../../config/call-options.js';
import { namesOf, PoolError, shownName } from '../../errors.js';
import { currentPlatform } from '../../process/platforms/current-platform.js';
import type { PooledInstance } from '../instances/pooled-instance.js';
import type { OpenEntry } from '../instances/server-entry.js';

/**
 * The instance that a drill breaks: the one that the host has named, or of those without a lease the one that is idle longest.
 * @throws PoolError `REQUIREMENTS_UNMET` when there is none, `NOT_SUPPORTED` when it cannot be broken in this way
 */
export function drillTarget(entry: OpenEntry, fault: DrillFault, id: string | undefined): PooledInstance {
  const instance = id === undefined ? idleLongest(entry) : named(entry, id);
  if (instance === undefined) throw refusal(entry, whyNone(entry, id));
  if (!instance.takesSignals) {
    throw unsupported(entry, 'its launcher cannot send signals (ServerProcess.signal)');
  }
  if (fault !== 'kill' && !currentPlatform().hasSigterm) {
    throw unsupported(entry, `this platform has no signals; the fault 'kill' works here, too`);
  }
  return instance;
}

/** The error of a drill that cannot begin. */
export function refusal(entry: OpenEntry, why: string): PoolError {
  return new PoolError('REQUIREMENTS_UNMET', `no drill of server '${shownName(entry)}': ${why}`, namesOf(entry));
}

function unsupported(entry: OpenEntry, why: string): PoolError {
  return new PoolError('NOT_SUPPORTED', `no drill of server '${shownName(entry)}': ${why}`, namesOf(entry));
}

function idleLongest({ instances }: OpenEntry): PooledInstance | undefined {
  const idle = [...instances].filter((instance) => isUsable(instance) && instance.leases === 0);
  return idle.sort((a, b) => a.idleSince - b.idleSince)[0];
}

function named({ instances }: OpenEntry, id: string): PooledInstance | undefined {
  return [...instances].find((instance) => instance.id === id && isUsable(instance));
}

/** One that is being ended or replaced says nothing about the recovery from a fault. */
function isUsable({ state, retired }: PooledInstance): boolean {
  return state === 'ready' && retired === undefined;
}

function whyNone({ instances, name }: OpenEntry, id: string | undefined): string {
  if (id !== undefined)
    return `it has no instance '${id}' that is ready; status().servers['${name}'].instances has its ids`;
  const leases = [...instances].reduce((all, instance) => all + instance.leases, 0);
  return `none of its instances (${instances.size}, with ${leases} leases) is ready and without a lease; start one with warm('${name}'), or name one that may lose its leases (instance)`;
}
