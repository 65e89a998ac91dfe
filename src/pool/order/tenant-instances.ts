import type { Fleet } from '../instances/fleet.js';
import type { PooledInstance } from '../instances/pooled-instance.js';
import type { LeaseClass } from '../instances/server-entry.js';

/** What one tenant has of one server. */
export class TenantInstances {
  readonly #fleet: Fleet;
  readonly #name: string;
  readonly #tenant: string | undefined;

  constructor(fleet: Fleet, name: string, tenant: string | undefined) {
    this.#fleet = fleet;
    this.#name = name;
    this.#tenant = tenant;
  }

  get all(): PooledInstance[] {
    return this.#fleet.ofTenant(this.#name, this.#tenant);
  }

  get classes(): LeaseClass[] {
    return this.#fleet.classesOf(this.#name, this.#tenant);
  }

  /** One that can be used. */
  find(apartFrom?: PooledInstance): PooledInstance | undefined {
    return this.all.find((one) => one !== apartFrom && one.state === 'ready' && one.retired === undefined);
  }

  /** Whether one is on the way: for callers, or after another. */
  get comes(): boolean {
    return this.classes.some(({ starts, waiting, coming }) => starts.length > 0 || waiting > 0 || coming > 0);
  }

  /** Whether a slot is taken for one. */
  get isStarting(): boolean {
    return this.classes.some(({ starts }) => starts.length > 0);
  }

  /** Whether there are some that are not ended, or callers that wait for one. */
  get areAlive(): boolean {
    return this.comes || this.all.some(({ state }) => state === 'starting' || state === 'ready');
  }

  /** Whether there are some, or callers apart from the one of this class that stands for the pool. */
  areCalled(own: LeaseClass | undefined): boolean {
    return this.classes.some((one) => one.instances.size > 0 || one.coming > 0 || one.waiting > (one === own ? 1 : 0));
  }
}
