import { type AddedCheck, type ProbeOptions, resolveAddedCheck, resolveProbe } from '../config/added-check.js';
import { readLabel } from '../config/arguments.js';
import { PoolError } from '../errors.js';
import { SafeEmitter } from '../events.js';
import { type Clock, systemClock } from '../runtime/clock.js';
import type { Outbox } from '../runtime/outbox.js';
import { wayOf } from './check-way.js';
import type { CheckedServer } from './checked-server.js';
import type { HealthEvents } from './health-events.js';
import { type HealthReport, HealthRounds, type RoundsDeps } from './health-rounds.js';
import { machineOverload } from './overload.js';
import { type HealthVerdict, livenessOf, type ProbedState, readinessOf } from './probe-verdict.js';

/** What a pool, or a test, gives to its monitor. */
export interface HealthDependencies {
  readonly clock?: Clock;
  readonly outbox?: Outbox;
  /** Why the machine has no time for its processes; undefined when it has. Default: by its load. */
  readonly overload?: () => string | undefined;
  readonly onRestart?: RoundsDeps['onRestart'];
  /** What a probe of readiness looks at. Default: what was added. */
  readonly probed?: () => ProbedState;
}

/** At most so many servers are checked that no pool has started. */
const MOST_ADDED = 10_000;

/** What a pool calls of its monitor, and no host. */
export let roundsOf: (monitor: HealthMonitor) => HealthRounds;

/**
 * Finds out whether servers answer, and reports what changes. Alone it checks what you `add()`, and only reports. In a pool it is
 * `pool.health`, which checks the servers of the pool by itself. Its events are {@link HealthEvents}. It keeps no host alive.
 */
export class HealthMonitor extends SafeEmitter<HealthEvents> {
  readonly #rounds: HealthRounds;
  /** The ids of what `add()` has added. */
  readonly #added = new Set<string>();
  readonly #probed: () => ProbedState;
  #isClosed = false;
  readonly #last = new Map<string, Pick<HealthVerdict, 'status' | 'since'>>();

  static {
    roundsOf = (monitor) => monitor.#rounds;
  }

  /** @param dependencies for tests, and for a pool. Default: none */
  constructor(dependencies: HealthDependencies = {}) {
    const { clock = systemClock, outbox, overload = machineOverload, onRestart, probed } = dependencies;
    super(outbox);
    this.#probed = probed ?? (() => this.#addedState());
    this.#rounds = new HealthRounds({
      ...{ clock, overload },
      emit: (event, payload) => void this.emit(event, payload as never),
      ...(onRestart && { onRestart }),
    });
  }

  override toJSON(): object {
    return { servers: this.#rounds.size };
  }

  /**
   * Checks something that no pool has started, again and again, until `remove(id)`. At most 10,000. Without effect after
   * `close()`.
   * @throws PoolError `INVALID_OPTIONS`, also when the id is taken
   */
  add(check: AddedCheck): void {
    const { id, name, check: how, interval, timeout, unhealthyAfter } = resolveAddedCheck(check);
    const problem = this.#rounds.has(id)
      ? `the id '${id}' is taken; remove() that one first`
      : timeout > interval || interval + timeout > unhealthyAfter
        ? `timeout must not be above interval, nor both together above unhealthyAfter, got ${timeout}, ${interval} and ${unhealthyAfter}`
        : this.#added.size >= MOST_ADDED
          ? `no more than ${MOST_ADDED} can be checked`
          : undefined;
    if (problem !== undefined) {
      throw new PoolError('INVALID_OPTIONS', `the call of health.add() was refused: ${problem}`, {
        problems: [problem],
      });
    }
    const way = wayOf(how, { name, instanceId: id, request: noRequest });
    const running: Pick<CheckedServer, 'process' | 'requests'> = {
      process: () => 'running',
      requests: () => ({ open: 0, wanted: 0 }),
    };
    if (this.#isClosed) return;
    this.#added.add(id);
    const silent = { heard: 0, heardAt: -Infinity };
    this.#rounds.add({ id, name, interval, timeout, unhealthyAfter, ...silent, way, ...running });
  }

  /**
   * Checks no more what `add()` has added.
   * @returns false when nothing has this id
   * @throws PoolError `INVALID_OPTIONS` when the id is no string
   */
  remove(id: string): boolean {
    readLabel(id, 'id', 'health.remove()');
    return this.#added.delete(id) && this.#rounds.forget(id);
  }

  /** Checks nothing any more. That of a pool is closed with it. */
  close(): void {
    this.#isClosed = true;
    this.#added.clear();
    this.#rounds.clear();
  }

  /** The health of all that is checked: a copy. */
  status(): readonly HealthReport[] {
    return this.#rounds.reports();
  }

  /**
   * Checks one now. Calls at the same time share one check.
   * @param id of an instance of the pool, as in `status()`, or of what was added
   * @returns its health; undefined when nothing with this id is checked
   * @throws PoolError `INVALID_OPTIONS` when the id is no string
   */
  async checkNow(id: string): Promise<HealthReport | undefined> {
    return this.#rounds.checkNow(readLabel(id, 'id', 'health.checkNow()'));
  }

  /**
   * What a route for probes answers, from what is known: it asks no server, so it can be called every second.
   * @param options `probe`: `readiness` (default) looks at the pool and its servers, `liveness` at the host alone
   * @throws PoolError `INVALID_OPTIONS`
   */
  verdict(options: ProbeOptions = {}): HealthVerdict {
    const { probe } = resolveProbe(options);
    const { status, checks } = probe === 'liveness' ? livenessOf() : readinessOf(this.#probed());
    const last = this.#last.get(probe);
    const since = last?.status === status ? last.since : Date.now();
    this.#last.set(probe, { status, since });
    return { status, checks, since };
  }

  #addedState(): ProbedState {
    const servers = this.#rounds.reports().map(({ name, status }) => ({
      ...{
        name,
        isEssential: false,
        instances: [status],
        isRestarting: false,
        isRefused: false,
        lastFailure: undefined,
      },
    }));
    return { closed: undefined, held: undefined, servers };
  }
}

function noRequest(): Promise<never> {
  const message =
    'nothing can be asked of what no pool has started; check it by a function that has its own connection';
  return Promise.reject(new PoolError('NOT_SUPPORTED', message));
}
