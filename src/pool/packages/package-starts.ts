import { knownEnvironment } from '../../config/environment.js';
import type { ResolvedDefinition } from '../../config/options.js';
import { PoolError, shownName } from '../../errors.js';
import type { PackageRequest } from '../../packages/package-request.js';
import type { Fallback, Look, PackageNews, PackageResolver } from '../../packages/package-resolver.js';
import type { PackageStart } from '../../packages/package-start.js';
import type { Launcher } from '../../process/launcher.js';
import type { PoolEmitter } from '../events.js';
import type { PooledInstance } from '../instances/pooled-instance.js';
import type { PackageEvent } from '../package-events.js';

export interface PackageStartsDeps {
  readonly emitter: PoolEmitter;
  readonly resolver: Pick<PackageResolver, 'look' | 'resolve'>;
  readonly turns: { wait(instance: PooledInstance): void };
}

/** Starts servers that are packages without npm, where `resolvePackages` asks for it. */
export class PackageStarts {
  readonly #deps: PackageStartsDeps;

  constructor(deps: PackageStartsDeps) {
    this.#deps = deps;
  }

  /**
   * Finds out what is started in place of the command of an instance. True when npm must be asked first: then the instance gets
   * its place in the line of starts when that is done.
   */
  prepare(instance: PooledInstance): boolean {
    const { definition } = instance;
    if (!definition.resolvePackages || instance.isPrepared) return false;
    const look = lookOf(this.#deps.resolver, definition);
    if (look === undefined) return false;
    if ('request' in look) {
      this.#ask(instance, look.request);
      return true;
    }
    if ('start' in look) startBy(instance, look.start);
    else this.#fallBack(instance, look.fallback);
    return false;
  }

  #ask(instance: PooledInstance, request: PackageRequest): void {
    const { resolver, turns } = this.#deps;
    const work = async (signal: AbortSignal) => {
      const found = await resolver.resolve(request, signal);
      if ('reason' in found) this.#fallBack(instance, found);
      else startBy(instance, found);
    };
    // It takes no turn of a start: it may wait for a download.
    instance.prepare(`npm to install ${packagesOf(request)}`, work, () => turns.wait(instance));
  }

  #fallBack(instance: PooledInstance, { reason, why }: Fallback): void {
    const { name } = instance;
    const message = `server '${shownName(instance)}' is started as its command is written: ${why}`;
    this.#deps.emitter.emit('package:fallback', { name, reason, message });
  }
}

/** What is known of the command of a definition. Undefined, too, when it is not there: the start says that better. */
export function lookOf(resolver: Pick<PackageResolver, 'look'>, definition: ResolvedDefinition): Look {
  const { name, command, args, cwd, refreshAfter } = definition;
  try {
    return resolver.look({ name, command, args, cwd, resolvedEnv: knownEnvironment(definition) }, refreshAfter);
  } catch (error) {
    if (error instanceof PoolError) return undefined;
    throw error;
  }
}

/** Why nothing is resolved here; undefined where it can be. @param launcher that of the host of the pool */
export function unsupportedFor(launcher: Launcher | undefined, platform = process.platform): string | undefined {
  if (launcher !== undefined) return 'the launcher of this pool may start it on another machine';
  return platform === 'win32' ? 'on Windows npx is not replaced yet' : undefined;
}

/** Emits what a resolver tells. */
export function packageNews(emitter: PoolEmitter): PackageNews {
  return {
    onResolving: (request) => emitter.emit('package:resolving', packageEvent(request)),
    onResolved: (request, { version }, duration, previousVersion) =>
      emitter.emit('package:resolved', { ...packageEvent(request), version, previousVersion, duration }),
    onCheckFailed: (request, { version }, message) =>
      emitter.emit('package:check-failed', { ...packageEvent(request), version, message }),
  };
}

/** As events and reports name the packages of a command line. */
export function packagesOf({ plan }: Pick<PackageRequest, 'plan'>): string {
  return plan.packages.map(({ shown }) => shown).join(' ');
}

function packageEvent(request: PackageRequest): PackageEvent {
  return { name: request.server, package: packagesOf(request) };
}

/** Its version stays as long as it may live. */
function startBy(instance: PooledInstance, start: PackageStart): void {
  instance.startCommand = start;
  void instance.ended.then(() => {
    if (instance.state === 'stopped') start.release();
  });
}
