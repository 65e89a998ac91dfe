import { isPlainObject } from '../config/fields.js';
import type { PoolOptions, SingleServerOptions } from '../config/options.js';
import { snapshot } from '../config/snapshot.js';
import { PoolError } from '../errors.js';

/** A registered symbol, so that all copies of this package in the process find the same pool. */
const KEY = Symbol.for('mcp-server-pool.global');

const place = globalThis as { [KEY]?: object };

type Options = PoolOptions | SingleServerOptions;

/**
 * The pool of this process, made by `make` if there is none. It may have been made by another copy, perhaps another version,
 * of this package: only its public surface may be used.
 */
export function globalPool<P extends object>(options: Options | undefined, make: (options: Options) => P): P {
  const found = place[KEY] as P | undefined;
  if (found === undefined) {
    const made = make(uncapped(options ?? UNASKED));
    place[KEY] = made;
    return made;
  }
  if (options === undefined) return found;
  const problem =
    'the global pool exists already, and these options would be ignored; call MCPServerPool.global(options) before anything else uses the global pool (a StdioClientTransport that starts does), and without options afterwards';
  throw new PoolError('INVALID_OPTIONS', problem, { problems: [problem] });
}

/** The pool is shut down: the next call makes a new one. */
export function forgetGlobalPool(pool: object): void {
  if (place[KEY] === pool) delete place[KEY];
}

/** A host that only replaces the SDK's transport by ours has asked for no monitoring, no service levels, no checks and no alerts. */
const UNASKED: Options = {
  monitoring: { enabled: false },
  serviceLevels: { enabled: false },
  defaults: { health: { check: false, stuckAfter: Infinity } },
  alerts: { enabled: false },
};

/**
 * A host that replaces the SDK's transport by ours must not meet a limit that it did not set. So neither the number of
 * processes nor their memory is limited, and many trees end at the same time, as with the SDK.
 */
function uncapped(given: Options): Options {
  const options = snapshot(given, 'the options of global()');
  if (!isPlainObject(options)) return options;
  return {
    ...options,
    limits: withDefault(withDefault(options.limits, 'maxProcesses', Infinity), 'memoryLimitMB', Infinity),
    cleanup: withDefault(options.cleanup, 'concurrency', 50),
  };
}

/** Sets `key` in a section of the options, unless it is set. A wrong section stays as it is: the check of the options refuses it. */
function withDefault<S extends object>(section: S | undefined, key: keyof S, value: number): S | undefined {
  if (section !== undefined && !isPlainObject(section)) return section;
  return { ...section, [key]: section?.[key] ?? value } as S;
}
