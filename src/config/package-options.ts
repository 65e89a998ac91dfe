import { abortSignal, about, describeValue, type Field, flag, type Given, type Resolved } from './fields.js';
import { duration, noShorterOrNever } from './number-fields.js';
import { reader } from './read-options.js';

/** Servers that are packages. Each option can be set per server, in `defaults`, or for the pool. Issue 14. */
export const packageFields = {
  /**
   * Whether a server that is started by `npx` or `npm exec` is started without npm. npm is run once, before the first start, and
   * says which program of which version it would run; every start then runs that program itself: one process in place of
   * three. What is not understood is started as it is written (`package:fallback`). Not on Windows. Default: false.
   */
  resolvePackages: about('servers by `npx` are started without npm ([how](packages.md)); for pools, too', flag(false)),
  /**
   * How long a version that `resolvePackages` has found counts, in milliseconds, at least 1,000; `Infinity`: until it is
   * removed. After that the next start has npm look for a newer one, and does not wait for it. A version that args name in full
   * (`pkg@1.2.3`) is never looked up again. Default: 86,400,000.
   */
  refreshAfter: about(
    'after this time npm looks for a newer version, in the background; for pools, too',
    noShorterOrNever(86_400_000, 1_000),
  ),
};

const prefetchFields = {
  /** Called with each package that is there, could not be had or was left out. Default: none. */
  onProgress: {
    default: undefined,
    check: (value) => (typeof value === 'function' ? undefined : `a function, got ${describeValue(value)}`),
  } as Field<((progress: never) => void) | undefined>,
  /** Longest time for each package, in milliseconds, from when npm is run for it; then it counts as failed. Default: 300,000. */
  timeout: duration(300_000),
  /** Ends what is under way: what is not there counts as failed. Default: none. */
  signal: abortSignal(),
};

export type PrefetchFields = typeof prefetchFields;
export type ResolvedPrefetch = Resolved<PrefetchFields>;

/** Options of `prefetch()`, but for what `onProgress` gets. */
export type PrefetchSettings = Omit<Given<PrefetchFields>, 'onProgress'>;

/** @throws PoolError `INVALID_OPTIONS` */
export const resolvePrefetch = reader(prefetchFields, 'the options of prefetch()');
