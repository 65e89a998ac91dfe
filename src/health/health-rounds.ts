import { messageOf } from '../errors.js';
import { listenerError } from '../events.js';
import type { Clock, Timer } from '../runtime/clock.js';
import type { CheckedServer } from './checked-server.js';
import type { HealthChange, HealthEvents } from './health-events.js';
import type { HealthStatus } from './health-status.js';
import { type CheckDeps, checkOnce, type Look, unknownSigns } from './one-check.js';
import { assess, type Health, mustRestart, type Signs } from './verdict.js';

export interface RoundsDeps extends CheckDeps {
  emit<E extends keyof HealthEvents>(event: E, payload: HealthEvents[E]): void;
  /** An unhealthy server is to be restarted. */
  onRestart?(server: CheckedServer, health: Health): void;
}

/** The health of one server, as `status()` shows it. */
export interface HealthReport {
  readonly id: string;
  readonly name: string;
  /** Undefined before the first check. */
  readonly status: HealthStatus | undefined;
  /** For how long it has been so, ms. */
  readonly for: number;
  /** Checks in a row that were missed. */
  readonly misses: number;
  /** Why it is so, in words. */
  readonly reason: string;
  /** What to do about it, in words; empty when nothing must be done. */
  readonly action: string;
}

/** What is kept of a server that is checked. */
interface Checked {
  readonly server: CheckedServer;
  readonly stopped: AbortController;
  health: Health;
  /** What it had sent and used at the last check. */
  heard: number;
  activity: Look | undefined;
  timer: Timer | undefined;
  /** Clock time at which the next check is due, ms. */
  dueAt: number;
  /** The check under way. */
  running: Promise<void> | undefined;
}

/** A server that does not answer is asked again sooner, but not more often than this many times within its interval. */
const MOST_CHECKS = 10;

/** Checks servers, each in its own interval, and reports what changes. */
export class HealthRounds {
  readonly #deps: RoundsDeps;
  readonly #checked = new Map<string, Checked>();

  constructor(deps: RoundsDeps) {
    this.#deps = deps;
  }

  get clock(): Clock {
    return this.#deps.clock;
  }

  get size(): number {
    return this.#checked.size;
  }

  has(id: string): boolean {
    return this.#checked.has(id);
  }

  add(server: CheckedServer): void {
    const now = this.#deps.clock.now();
    const health = {
      status: undefined,
      since: now,
      misses: 0,
      excused: 0,
      lastLife: now,
      reason: 'not checked yet',
      action: '',
    };
    const stopped = new AbortController();
    const checked = {
      server,
      stopped,
      health,
      heard: server.heard,
      activity: undefined,
      timer: undefined,
      dueAt: now,
      running: undefined,
    };
    this.#checked.set(server.id, checked);
    // Up to half sooner, at random: servers that were started together are not all asked at once.
    this.#wait(checked, server.interval * (1 - Math.random() / 2));
  }

  /** False when it is not checked. A check under way has no effect any more. */
  remove(id: string): boolean {
    const checked = this.#checked.get(id);
    if (checked === undefined) return false;
    this.#checked.delete(id);
    checked.timer?.cancel();
    checked.stopped.abort();
    return true;
  }

  /** As {@link remove}. Those that act on what is unwell need not wait for it any more. */
  forget(id: string): boolean {
    const checked = this.#checked.get(id);
    const from = checked?.health.status;
    this.remove(id);
    if (checked !== undefined && from !== undefined && from !== 'healthy')
      this.#change(checked, { from, to: 'healthy', reason: 'it is not checked any more', action: '' });
    return checked !== undefined;
  }

  /** Its interval may be another one from now on. */
  redefined(id: string): void {
    const checked = this.#checked.get(id);
    if (checked === undefined || checked.running !== undefined) return;
    const { interval } = checked.server;
    if (checked.dueAt > this.#deps.clock.now() + interval) this.#wait(checked, interval);
  }

  /** Nothing is checked any more. */
  clear(): void {
    for (const id of [...this.#checked.keys()]) this.remove(id);
  }

  statusOf(id: string): HealthStatus | undefined {
    return this.#checked.get(id)?.health.status;
  }

  reports(): HealthReport[] {
    return [...this.#checked.values()].map((checked) => this.#reportOf(checked));
  }

  /** Checks it now, also when a check is due later. Undefined when it is not checked at all. */
  async checkNow(id: string): Promise<HealthReport | undefined> {
    const checked = this.#checked.get(id);
    if (checked === undefined) return undefined;
    await this.#check(checked);
    return this.#reportOf(checked);
  }

  #reportOf({ server, health }: Checked): HealthReport {
    const { id, name } = server;
    const { status, since, misses, reason, action } = health;
    return { id, name, status, for: this.#deps.clock.now() - since, misses, reason, action };
  }

  #wait(checked: Checked, delay: number): void {
    checked.timer?.cancel();
    checked.dueAt = this.#deps.clock.now() + delay;
    // A fault of this library must neither end the host nor be hidden.
    const onFault = (error: unknown) => this.#deps.emit('listener:error', listenerError('health:checked', error));
    checked.timer = this.#deps.clock.after(delay, () => void this.#check(checked).catch(onFault));
  }

  /** Calls at the same time share one check. */
  #check(checked: Checked): Promise<void> {
    if (checked.running === undefined) {
      checked.timer?.cancel();
      checked.running = this.#run(checked).finally(() => {
        checked.running = undefined;
      });
    }
    return checked.running;
  }

  async #run(checked: Checked): Promise<void> {
    const { server, stopped } = checked;
    const { clock } = this.#deps;
    const begun = clock.now();
    // In the time by which the check itself is late, the host stood still: that is no silence of the server.
    const late = Math.max(0, begun - checked.dueAt);
    const before = { ...checked.health, lastLife: Math.min(begun, checked.health.lastLife + late) };
    const signs = await this.#signsOf(checked);
    if (stopped.signal.aborted) return;
    // Whatever fails below, it is checked again.
    this.#wait(checked, server.interval);
    checked.heard = server.heard;
    checked.activity = signs.activity;
    checked.health = assess(before, signs, server, clock.now());
    this.#wait(checked, this.#nextIn(checked, signs, begun));
    this.#report(checked, before, clock.now() - begun);
    // A listener may have removed it.
    if (!stopped.signal.aborted) this.#act(checked, signs);
  }

  /** A fault on the way shows nothing of the server, and must not end the host. */
  async #signsOf(checked: Checked): ReturnType<typeof checkOnce> {
    try {
      return await checkOnce(checked.server, checked, this.#deps, checked.stopped.signal);
    } catch (error) {
      return unknownSigns(messageOf(error));
    }
  }

  #report(checked: Checked, { status: from, lastLife }: Health, duration: number): void {
    const { id, name } = checked.server;
    const { status: to, reason, action } = checked.health;
    if (to === undefined) return;
    this.#deps.emit('health:checked', { id, name, status: to, duration });
    if (to === from || (from === undefined && to === 'healthy') || checked.stopped.signal.aborted) return;
    this.#change(checked, { from, to, reason, action }, lastLife);
  }

  #change(
    { server: { id, name }, health }: Checked,
    change: Pick<HealthChange, 'from' | 'to' | 'reason' | 'action'>,
    lastLife = health.lastLife,
  ): void {
    this.#deps.emit('health:changed', { id, name, ...change, silent: this.#deps.clock.now() - lastLife });
  }

  #act({ server, health }: Checked, signs: Signs): void {
    if (mustRestart(health, signs, server, this.#deps.clock.now())) this.#deps.onRestart?.(server, health);
  }

  /**
   * The next check begins one interval after the last one has begun; that of a server which was not asked, since it has sent
   * something, one interval after that. That of a server which does not answer ends when its time is over, so that nothing waits
   * for longer than `unhealthyAfter`.
   */
  #nextIn({ server, health }: Checked, { heardAt }: Signs, begun: number): number {
    const { interval, timeout, unhealthyAfter } = server;
    const now = this.#deps.clock.now();
    const usual = Math.max(0, begun + interval - now);
    if (heardAt !== undefined) return Math.max(heardAt + interval - now, interval / MOST_CHECKS);
    if (health.misses === 0) return usual;
    const left = health.lastLife + unhealthyAfter - timeout - now;
    return Math.min(usual, Math.max(left, interval / MOST_CHECKS));
  }
}
