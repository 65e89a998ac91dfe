import type { PoolError } from '../../errors.js';
import type { EndReason } from '../../server/end-reason.js';
import type { PooledInstance } from '../instances/pooled-instance.js';

/** Follows instances from their spawn to their end. Called within operations; must not throw. */
export interface InstanceWatch {
  spawned?(instance: PooledInstance): void;
  ready?(instance: PooledInstance): void;
  /** It could not be started. */
  failed?(instance: PooledInstance, error: PoolError): void;
  ending?(instance: PooledInstance, reason: EndReason): void;
}

/** All that follow the instances of a pool, in the order in which they were added. */
export class InstanceWatches implements Required<InstanceWatch> {
  readonly #watches: InstanceWatch[] = [];

  add(watch: InstanceWatch): void {
    this.#watches.push(watch);
  }

  spawned(instance: PooledInstance): void {
    for (const watch of this.#watches) watch.spawned?.(instance);
  }

  ready(instance: PooledInstance): void {
    for (const watch of this.#watches) watch.ready?.(instance);
  }

  failed(instance: PooledInstance, error: PoolError): void {
    for (const watch of this.#watches) watch.failed?.(instance, error);
  }

  ending(instance: PooledInstance, reason: EndReason): void {
    for (const watch of this.#watches) watch.ending?.(instance, reason);
  }
}
