import { isPlainObject } from '../config/fields.js';
import type { PoolOptions, SingleServerOptions } from '../config/options.js';
import { PoolError } from '../errors.js';

/** By this every copy of this package that is loaded in the process finds the one pool. */
const KEY = Symbol.for('mcp-server-pool.global');

const place = globalThis as { [KEY]?: object };

type Options = PoolOptions | SingleServerOptions;

/**
 * The pool of this process, made by `make` if there is none. What another copy has put there is given out as it is: its
 * public surface is all that may be used of it.
 */
export function globalPool<P extends object>(options: Options | undefined, make: (options: Options) => P): P {
  const found = place[KEY] as P | undefined;
  if (found === undefined) {
    const made = make(uncapped(options ?? {}));
    place[KEY] = made;
    return made;
  }
  if (options === undefined) return found;
  const problem =
    'the global pool exists already, and these options would be ignored; call MCPServerPool.global(options) before anything else uses the global pool (a StdioClientTransport that starts does), and without options afterwards';
  throw new PoolError('INVALID_OPTIONS', problem, { problems: [problem] });
}

/** The pool is shut down: the next who asks gets a new one. */
export function forgetGlobalPool(pool: object): void {
  if (place[KEY] === pool) delete place[KEY];
}

/**
 * Who replaces the SDK's transport by ours must not meet a limit that nobody set: no cap on processes, and many
 * stubborn trees end side by side, as they do there.
 */
function uncapped(options: Options): Options {
  if (!isPlainObject(options)) return options;
  return {
    ...options,
    limits: withDefault(options.limits, 'maxProcesses', Infinity),
    cleanup: withDefault(options.cleanup, 'concurrency', 50),
  };
}

/** `group` with `key`, unless that is set. What is no group of options is left to the check that refuses it. */
function withDefault<G extends object>(group: G | undefined, key: keyof G, value: number): G | undefined {
  if (group !== undefined && !isPlainObject(group)) return group;
  return { ...group, [key]: group?.[key] ?? value } as G;
}
