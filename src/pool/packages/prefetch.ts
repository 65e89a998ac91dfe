import type { ResolvedDefinition } from '../../config/options.js';
import type { PrefetchSettings, ResolvedPrefetch } from '../../config/package-options.js';
import { messageOf } from '../../errors.js';
import type { PackageResolver } from '../../packages/package-resolver.js';
import type { Clock } from '../../runtime/clock.js';
import { lookOf, packagesOf } from './package-starts.js';

/** What `prefetch()` has done for one server. */
export interface PrefetchedServer {
  /** Name of the definition. */
  readonly name: string;
  /**
   * `installed`: npm was run for it. `present`: it was there. `skipped`: nothing is to be installed, or it is not known how.
   * `failed`: npm has failed, or there was no time.
   */
  readonly state: 'installed' | 'present' | 'skipped' | 'failed';
  /** `name@version` of what its next start runs; undefined for one that was skipped or has failed. */
  readonly package: string | undefined;
  /** Why it was skipped or has failed. */
  readonly message: string | undefined;
  /** How long it took, in ms. */
  readonly duration: number;
}

/** What `onProgress` of `prefetch()` gets, once for each server, in the order in which they are done. */
export interface PrefetchProgress {
  readonly server: PrefetchedServer;
  /** Number of servers that are done, this one included. */
  readonly done: number;
  readonly total: number;
}

/** Options of `prefetch()`. */
export type PrefetchOptions = PrefetchSettings & {
  /** Called with each server when it is done. What it throws is reported as `listener:error`. Default: none. */
  readonly onProgress?: ((progress: PrefetchProgress) => void) | undefined;
};

/** Result of `prefetch()`. */
export interface PrefetchReport {
  /** In the order in which they are defined. */
  readonly servers: readonly PrefetchedServer[];
  /** In ms. */
  readonly duration: number;
}

export interface PrefetchDeps {
  readonly resolver: PackageResolver;
  readonly clock: Clock;
  /** Called with what `onProgress` has thrown. */
  onThrown(error: unknown): void;
}

/** Has the packages of servers installed. Servers with the same package share one run of npm. */
export async function prefetch(
  definitions: readonly ResolvedDefinition[],
  options: Omit<ResolvedPrefetch, 'onProgress'> & Pick<PrefetchOptions, 'onProgress'>,
  deps: PrefetchDeps,
): Promise<PrefetchReport> {
  const { clock, onThrown } = deps;
  const started = clock.now();
  let done = 0;
  const servers = await Promise.all(
    definitions.map(async (definition) => {
      const since = clock.now();
      const result = await fetchOne(definition, options, deps);
      const server = { name: definition.name, ...result, duration: Math.round(clock.now() - since) };
      done += 1;
      try {
        options.onProgress?.({ server, done, total: definitions.length });
      } catch (error) {
        onThrown(error);
      }
      return server;
    }),
  );
  return { servers, duration: Math.round(clock.now() - started) };
}

type Result = Pick<PrefetchedServer, 'state' | 'package' | 'message'>;

async function fetchOne(
  definition: ResolvedDefinition,
  { timeout, signal }: Pick<ResolvedPrefetch, 'timeout' | 'signal'>,
  { resolver, clock }: PrefetchDeps,
): Promise<Result> {
  if (!definition.resolvePackages) return skipped('resolvePackages is not set for it');
  const look = lookOf(resolver, definition);
  if (look === undefined) return skipped('its command is no npx that is there, and no npm exec');
  if ('fallback' in look) {
    const { reason, why } = look.fallback;
    return reason === 'npm-failed' || reason === 'no-cache' ? failed(why) : skipped(why);
  }
  if ('start' in look) {
    look.start.release();
    return { state: 'present', package: look.start.package, message: undefined };
  }
  const late = new AbortController();
  const timer = clock.after(timeout, () => late.abort(new Error(`npm was not done within ${timeout} ms`)));
  try {
    const end = signal ? AbortSignal.any([late.signal, signal]) : late.signal;
    const found = await resolver.resolve(look.request, end);
    if ('reason' in found) return failed(found.why);
    found.release();
    return { state: 'installed', package: found.package, message: undefined };
  } catch (error) {
    const why = late.signal.aborted ? messageOf(late.signal.reason) : 'its signal was aborted';
    if (late.signal.aborted || signal?.aborted) return failed(`${packagesOf(look.request)}: ${why}`);
    throw error;
  } finally {
    timer.cancel();
  }
}

const skipped = (message: string): Result => ({ state: 'skipped', package: undefined, message });
const failed = (message: string): Result => ({ state: 'failed', package: undefined, message });
