import type { StuckEvent } from '../../health/health-events.js';
import { cut } from '../../runtime/cut.js';
import type { PooledInstance } from '../instances/pooled-instance.js';
import type { LeaseManager } from '../leases/lease-manager.js';

/** Longest method or tool in an event, in characters. */
const LONGEST_NAME = 200;

/** Finds what does not end: requests, silent leases, starts and cleanup jobs. Each is found once. */
export class StuckWatch {
  readonly #leases: LeaseManager;
  readonly #onStill: (stuck: StuckEvent) => void;
  readonly #found = new WeakSet<object>();
  /** The starts and ends under way, with the clock time at which each has begun, ms. */
  readonly #begun = new WeakMap<PooledInstance, Begun>();

  /** @param onStill hears at each look of what was found before, and is stuck still */
  constructor(leases: LeaseManager, onStill: (stuck: StuckEvent) => void) {
    this.#leases = leases;
    this.#onStill = onStill;
  }

  /** A start or an end begins. Each is a thing of its own. */
  begun(instance: PooledInstance, kind: Begun['kind'], since: number): void {
    this.#begun.set(instance, { kind, since });
  }

  /** A start has succeeded. */
  over(instance: PooledInstance): void {
    this.#begun.delete(instance);
  }

  /** What has become stuck since the last call. */
  *look(instances: Iterable<PooledInstance>, now: number): Iterable<StuckEvent> {
    for (const [thing, event] of this.#stuck(instances, now)) {
      if (this.#found.has(thing)) {
        this.#onStill(event);
        continue;
      }
      this.#found.add(thing);
      yield event;
    }
  }

  *#stuck(instances: Iterable<PooledInstance>, now: number): Iterable<readonly [thing: object, event: StuckEvent]> {
    for (const instance of instances) {
      const { id: instanceId, name, tenant, definition } = instance;
      const of = { name, instanceId, tenant };
      const { stuckAfter } = definition.health;
      for (const lease of this.#leases.of(instance)) {
        const { id: leaseId, owner } = lease;
        for (const request of lease.requests()) {
          const age = now - request.since;
          if (age < stuckAfter) continue;
          const [method, tool] = [shortened(request.method), request.tool && shortened(request.tool)];
          yield [request, { kind: 'request', ...of, age, method, tool, leaseId, owner }];
        }
        const age = lease.silence(now);
        // A session may rest for long. What the pool itself calls silent is so.
        if (age >= Math.max(stuckAfter, definition.leaseIdleTimeout))
          yield [lease, { kind: 'lease', ...of, age, leaseId, owner }];
      }
      const begun = this.#begun.get(instance);
      const age = now - (begun?.since ?? now);
      if (begun && age >= stuckAfter) yield [begun, { kind: begun.kind, ...of, age }];
    }
  }
}

/** A client may choose any length. */
function shortened(name: string): string {
  return cut(name, LONGEST_NAME);
}

interface Begun {
  readonly kind: 'start' | 'cleanup';
  readonly since: number;
}
