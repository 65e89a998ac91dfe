import type { Counter, Histogram } from 'prom-client';
import type { MCPServerPool, PoolEvents, RequestEndMessage } from '../index.js';
import { METHODS, methodLabel } from './method-label.js';
import type { OwnMetrics } from './own-metrics.js';
import { watchRequests } from './requests.js';
import { serverLabel } from './server-label.js';
import type { Labels } from './snapshot.js';

/** Upper bounds, in seconds: a warm call takes microseconds, a cold one seconds. */
const ACQUIRE_BUCKETS = [0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const REQUEST_BUCKETS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];
const OUTCOMES = ['ok', 'tool-error', 'error', 'lost', 'cancelled', 'timeout'] as const satisfies readonly Outcome[];
type Outcome = RequestEndMessage['outcome'];
const STUCK = [
  'request',
  'lease',
  'start',
  'cleanup',
] as const satisfies readonly PoolEvents['stuck:detected']['kind'][];

const HELP = {
  acquires: 'From the call of getServer() to its lease.',
  rejected: 'Calls of getServer() that got an error, by its code.',
  requests: 'From a request of a client to its answer, or to its end without one.',
  outcomes: 'Requests of clients that have ended, by how.',
  crashes: 'Exits of the server that the pool had not asked for.',
  restarts: 'Times that a process of the server was replaced by another one for its leases.',
  startFailures: 'Starts of the server that failed.',
  stuck: 'Requests, leases, starts and cleanups that were found not to end.',
  ofTenants: 'Requests of the tenant that have ended, by how.',
};

/** What is counted when it happens: how long calls and requests took, how they ended, and how often each server failed. */
export class Traffic {
  readonly #acquires: Histogram;
  readonly #rejected: Counter;
  readonly #requests: Histogram;
  readonly #outcomes: Counter;
  readonly #crashes: Counter;
  readonly #restarts: Counter;
  readonly #startFailures: Counter;
  readonly #stuck: Counter;
  readonly #ofTenants: Counter | undefined;
  /** The codes that calls were rejected with. */
  readonly #codes = new Set<string>();

  constructor(metrics: OwnMetrics, hasTenants: boolean) {
    const server = ['server'];
    this.#acquires = metrics.histogram('acquire_duration', HELP.acquires, server, ACQUIRE_BUCKETS);
    this.#rejected = metrics.counter('server_rejected_calls', HELP.rejected, ['server', 'code']);
    this.#requests = metrics.histogram('request_duration', HELP.requests, ['server', 'method'], REQUEST_BUCKETS);
    this.#outcomes = metrics.counter('requests', HELP.outcomes, ['server', 'outcome']);
    this.#crashes = metrics.counter('server_crashes', HELP.crashes, server);
    this.#restarts = metrics.counter('server_restarts', HELP.restarts, server);
    this.#startFailures = metrics.counter('server_start_failures', HELP.startFailures, server);
    this.#stuck = metrics.counter('stuck', HELP.stuck, ['kind']);
    for (const kind of STUCK) this.#stuck.inc({ kind }, 0);
    this.#ofTenants = hasTenants
      ? metrics.counter('tenant_requests', HELP.ofTenants, ['tenant', 'outcome'])
      : undefined;
  }

  /** Every counter of a server begins with 0: one that begins with its first count has no rate. */
  addServer(server: string): void {
    for (const counter of [this.#crashes, this.#restarts, this.#startFailures]) counter.inc({ server }, 0);
    for (const outcome of OUTCOMES) this.#outcomes.inc({ server, outcome }, 0);
  }

  forgetServer(server: string): void {
    for (const metric of [this.#acquires, this.#crashes, this.#restarts, this.#startFailures])
      metric.remove({ server });
    for (const code of this.#codes) this.#rejected.remove({ server, code });
    for (const method of METHODS) this.#requests.remove({ server, method });
    for (const outcome of OUTCOMES) this.#outcomes.remove({ server, outcome });
  }

  forgetTenant(tenant: string): void {
    for (const outcome of OUTCOMES) this.#ofTenants?.remove({ tenant, outcome });
  }

  /** @returns a function that ends this */
  count(pool: MCPServerPool, { servers, tenants }: Labels): () => void {
    const labelOf = ({ name }: { readonly name: string }) => servers.of(serverLabel(name));
    const listeners = {
      'lease:acquired': (lease: PoolEvents['lease:acquired']) =>
        this.#acquires.observe({ server: labelOf(lease) }, lease.waited / 1_000),
      'queue:rejected': (call: PoolEvents['queue:rejected']) => {
        this.#codes.add(call.code);
        this.#rejected.inc({ server: labelOf(call), code: call.code });
      },
      'server:exited': (exit: PoolEvents['server:exited']) => {
        if (exit.unexpected) this.#crashes.inc({ server: labelOf(exit) });
      },
      'server:restarted': (restart: PoolEvents['server:restarted']) => this.#restarts.inc({ server: labelOf(restart) }),
      'server:failed': (failure: PoolEvents['server:failed']) => this.#startFailures.inc({ server: labelOf(failure) }),
      'stuck:detected': ({ kind }: PoolEvents['stuck:detected']) => this.#stuck.inc({ kind }),
    };
    for (const [event, listener] of Object.entries(listeners)) pool.on(event as keyof PoolEvents, listener as never);
    const stop = watchRequests(pool, {
      onEnd: (message) => {
        const { outcome } = message;
        const server = labelOf(message.server);
        this.#requests.observe({ server, method: methodLabel(message.request.method) }, message.duration / 1_000);
        this.#outcomes.inc({ server, outcome });
        const { tenant } = message.server;
        if (tenants && tenant !== undefined) this.#ofTenants?.inc({ tenant: tenants.of(tenant), outcome });
      },
      // A figure is lost, and nothing else.
      onFault: () => {},
    });
    return () => {
      stop();
      for (const [event, listener] of Object.entries(listeners)) pool.off(event as keyof PoolEvents, listener as never);
    };
  }
}
