import { callback, type Field } from '../config/fields.js';
import { reader } from '../config/read-options.js';
import type { Launcher } from '../process/launcher.js';
import type { Clock } from '../runtime/clock.js';
import type { HeadroomReader } from '../sequence/preflight/host-headroom.js';

/** Second argument of `new MCPServerPool()`: for tests, and for servers that are not child processes of this host. */
export interface PoolDependencies {
  /** The source of time for all timeouts. Default: the monotonic clock of Node and its timers. */
  readonly clock?: Clock | undefined;
  /**
   * Starts every server of the pool. Default: child processes of this host. With another one the options `containment`,
   * `cgroupParent` and `guardian` have no effect.
   */
  readonly launcher?: Launcher | undefined;
  /**
   * Why this machine has no time for its processes, in words; undefined when it has: then a missed health check counts. Default: by
   * the load of the machine.
   */
  readonly overload?: (() => string | undefined) | undefined;
  /** Tells what the host of the servers has left, for `limits.requires`. Default: this machine. */
  readonly headroom?: HeadroomReader | undefined;
}

function objectWith<T>(what: string, ...methods: readonly (keyof T & string)[]): Field<T | undefined> {
  const has = (value: object, name: string) => typeof (value as Record<string, unknown>)[name] === 'function';
  return {
    default: undefined,
    check: (value) =>
      typeof value === 'object' && value !== null && methods.every((name) => has(value, name))
        ? undefined
        : `${what}, an object with ${methods.map((name) => `${name}()`).join(' and ')}`,
  };
}

/** @throws PoolError `INVALID_OPTIONS` */
export const resolveDependencies = reader(
  {
    clock: objectWith<Clock>('a Clock', 'now', 'after'),
    launcher: objectWith<Launcher>('a Launcher', 'launch'),
    overload: callback<() => string | undefined>(),
    headroom: objectWith<HeadroomReader>('a HeadroomReader', 'read'),
  },
  'the dependencies of MCPServerPool',
);
