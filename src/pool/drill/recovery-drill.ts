import { type DrillFault, type DrillOptions, resolveDrillOptions } from '../../config/call-options.js';
import { messageOf } from '../../errors.js';
import type { SignalReach } from '../../process/launcher.js';
import { deferred } from '../../runtime/deferred.js';
import type { PoolParts } from '../assemble.js';
import type { LeaseScope } from '../instances/lease-scope.js';
import type { PooledInstance } from '../instances/pooled-instance.js';
import { isOpen, type OpenEntry } from '../instances/server-entry.js';
import type { MCPServerPool } from '../mcp-server-pool.js';
import { partsOf } from '../parts-of.js';
import { serverEvent } from '../server-event.js';
import { warmScope } from '../warm-scope.js';
import { type DrillFacts, type DrillReport, drillReport } from './drill-report.js';
import { drillTarget, refusal } from './drill-target.js';
import { DrillWatch } from './drill-watch.js';

/** The pools with a drill under way: two at once would measure each other. */
const underWay = new WeakSet<MCPServerPool>();

/**
 * Breaks a server on purpose, and measures how the pool finds and replaces it. Then the pool is as it was: the same number of
 * idle instances, no lease. The host is kept alive until then.
 *
 * A caller that comes meanwhile may get the broken server, as in earnest: choose a quiet moment. An instance with leases is
 * broken only if `instance` names it: a shared server keeps its leases (`onCrash: 'restart'`), others lose them. A `hang` is
 * found only by the health monitor; where that is off, the drill says so and restarts the server.
 *
 * @param options `server`, `fault` (`kill`, `exit`, `hang`), `dryRun` (default: false), `instance`, `timeout` in ms
 *   (default: 300,000), `signal`
 * @returns what was seen, also when the drill has failed or was aborted; `String(report)` is a table
 * @throws PoolError `REQUIREMENTS_UNMET` when no instance can be broken, or another drill of the pool is under way;
 *   `UNKNOWN_SERVER`, `POOL_CLOSED`, `INVALID_OPTIONS`; `NOT_SUPPORTED` where the platform, or the launcher, has no signals
 */
export async function runRecoveryDrill(pool: MCPServerPool, options: DrillOptions): Promise<DrillReport> {
  const { server, fault, dryRun, instance: id, timeout, signal } = resolveDrillOptions(options);
  const parts = partsOf(pool);
  const entry = parts.servers.named(server, 'runRecoveryDrill()');
  const drill = new RecoveryDrill({ pool, parts, entry, fault, instance: drillTarget(entry, fault, id) });
  if (dryRun) return drill.plan(timeout);
  if (underWay.has(pool)) throw refusal(entry, 'another drill of this pool is under way; await it first');
  underWay.add(pool);
  try {
    return await parts.keepAlive.during(drill.run(timeout, signal));
  } finally {
    underWay.delete(pool);
  }
}

/** What each fault does. */
const FAULTS: Readonly<Record<DrillFault, { readonly signal: NodeJS.Signals; readonly reach: SignalReach }>> = {
  kill: { signal: 'SIGKILL', reach: 'leader' },
  exit: { signal: 'SIGTERM', reach: 'leader' },
  // All of them: where the leader is npx, the server below it would go on.
  hang: { signal: 'SIGSTOP', reach: 'tree' },
};

const UNSEEN =
  'its health is not checked (health.check is false), so nothing finds that it hangs: only the drill ends that';

interface DrillSubject {
  readonly pool: MCPServerPool;
  readonly parts: PoolParts;
  readonly entry: OpenEntry;
  readonly instance: PooledInstance;
  readonly fault: DrillFault;
}

type Recovery = Pick<DrillFacts, 'newInstanceId' | 'restart' | 'recovery'>;

/** Why a drill ends before the server has recovered. */
interface Interruption {
  readonly interrupted: NonNullable<DrillFacts['interrupted']>;
  readonly note: string;
}

class RecoveryDrill {
  readonly #subject: DrillSubject;
  /** The callers that the instance was for. */
  readonly #scope: LeaseScope;
  readonly #leases: number;
  /** Whether these move to the next instance. */
  readonly #moves: boolean;
  /** The instances of the server before the fault, and how many of them have room for such a caller. */
  readonly #before: ReadonlySet<PooledInstance>;
  readonly #ready: number;
  /** Whether no failure of the server counts yet: then that of the drill shall not count either. */
  readonly #isCalm: boolean;
  readonly #notes: string[] = [];

  constructor(subject: DrillSubject) {
    const { entry, instance, parts } = subject;
    const { tenant, owner, variant, leases, leasesStay } = instance;
    this.#subject = subject;
    this.#scope = { tenant, owner, variant };
    this.#leases = leases;
    this.#moves = leases > 0 && leasesStay;
    this.#before = new Set(entry.instances);
    this.#ready = entry.readyFor(this.#scope);
    const isPaused = entry.sparePause.until > parts.clock.now();
    this.#isCalm = !isPaused && parts.breakers.statusOf(entry.name).every((breaker) => breaker.tenant !== tenant);
  }

  /** The report of a dry run. */
  plan(timeout: number): DrillReport {
    const { signal, reach } = FAULTS[this.#subject.fault];
    const whom = reach === 'leader' ? 'the process that was spawned' : 'all its processes';
    const fate = this.#moves ? 'move to the next instance' : 'end with it';
    this.#notes.push(
      `it would send ${signal} to ${whom}`,
      this.#leases > 0 ? `its leases (${this.#leases}) would ${fate}` : 'it has no lease',
      `it would wait at most ${timeout} ms until the pool has found that, and a new instance answers`,
    );
    if (this.#isUnseen) this.#notes.push(UNSEEN);
    return this.#report({ dryRun: true });
  }

  async run(timeout: number, signal: AbortSignal | undefined): Promise<DrillReport> {
    if (signal?.aborted) {
      this.#notes.push('it was aborted before the fault: nothing was done');
      return this.#report({ interrupted: 'aborted' });
    }
    const { pool, parts, instance } = this.#subject;
    const watch = new DrillWatch(pool, instance);
    const interruption = deferred<Interruption>();
    const fail = (note: string) => interruption.resolve({ interrupted: 'failed', note });
    const onAbort = () => interruption.resolve({ interrupted: 'aborted', note: 'it was aborted' });
    const timer = parts.clock.after(timeout, () => fail(`it has not recovered within ${timeout} ms`));
    signal?.addEventListener('abort', onAbort);
    void watch.endedBefore.promise.then((reason) => fail(`the pool ended it before, for another reason (${reason})`));
    let end: Recovery | Interruption;
    try {
      this.#break();
      if (this.#isUnseen) fail(UNSEEN);
      end = await Promise.race([interruption.promise, this.#recovery(watch)]);
    } catch (error) {
      end = { interrupted: 'failed', note: messageOf(error) };
    } finally {
      timer.cancel();
      signal?.removeEventListener('abort', onAbort);
      watch.stop();
    }
    if ('note' in end) this.#notes.push(end.note);
    await this.#repair();
    const { detection, detectedBy, health, alerts } = watch;
    const found = { detection, detectedBy, health, alerts };
    const report = this.#report({ ...found, ...('note' in end ? { interrupted: end.interrupted } : end) });
    const { name, instanceId, fault, verdict, restart } = report;
    pool.emit('drill:finished', { name, instanceId, fault, verdict, detection, restart });
    return report;
  }

  /** In the tick in which the instance was chosen: no caller can have got it in between. */
  #break(): void {
    const { entry, fault, instance, pool } = this.#subject;
    const { signal, reach } = FAULTS[fault];
    if (!instance.signal(signal, reach)) throw refusal(entry, 'its process has just ended by itself');
    pool.emit('drill:started', { ...serverEvent(instance), fault });
  }

  /** Whether nothing would find that it hangs. */
  get #isUnseen(): boolean {
    const { fault, instance, pool } = this.#subject;
    return fault === 'hang' && !pool.health.status().some(({ id }) => id === instance.id);
  }

  async #recovery(watch: DrillWatch): Promise<Recovery> {
    await watch.detected.promise;
    const newInstanceId = this.#moves ? await watch.replaced.promise : await this.#startNew();
    return { newInstanceId, restart: watch.sinceStopping, recovery: watch.elapsed };
  }

  /** An idle instance is not started again by the pool, unless `minIdle` asks for it. */
  async #startNew(): Promise<string> {
    const { entry, instance } = this.#subject;
    await instance.ended;
    await this.#warm();
    const started = [...entry.instances].find((one) => one.state === 'ready' && !this.#before.has(one));
    if (started === undefined) throw refusal(entry, 'no new instance was started, since a limit leaves no room for it');
    if (started.sharing !== 'dedicated') await started.ask('ping');
    return started.id;
  }

  /** Starts instances until as many have room as before; for one that loses its only lease, one more. */
  async #warm(): Promise<void> {
    const { entry, instance, parts } = this.#subject;
    const isTaken = this.#leases > 0 && instance.sharing !== 'shared';
    // Not by `warm()`, which would ask perTenant: the values are those of the instance.
    await warmScope(entry, this.#scope, Math.max(1, this.#ready + (isTaken ? 1 : 0)), parts);
  }

  /** Undoes what the drill has done, as far as the pool has not done it. */
  async #repair(): Promise<void> {
    const { entry, fault, instance, parts } = this.#subject;
    try {
      // What is stopped does nothing, not even end.
      if (fault === 'hang') instance.signal('SIGCONT', 'tree');
      if (instance.state === 'ready' && instance.leases === 0) await instance.stop('restart');
      else if (instance.state !== 'ready') await instance.ended;
      if (!this.#moves && instance.state !== 'ready') await this.#warm();
      const { tenant } = this.#scope;
      if (this.#isCalm) parts.servers.resetBreaker(entry.name, { tenant, allTenants: false });
    } catch (error) {
      this.#notes.push(`not everything could be repaired: ${messageOf(error)}`);
    }
  }

  #report(seen: Partial<DrillFacts>): DrillReport {
    const { entry, fault, instance, pool } = this.#subject;
    const { name, label } = entry;
    const { detectionTime, restartTime } = pool.serviceLevels().pool;
    return drillReport({
      ...{ name, label, instanceId: instance.id, pid: instance.pid, fault, dryRun: false },
      ...{ interrupted: undefined, detection: undefined, detectedBy: undefined, restart: undefined },
      ...{ recovery: undefined, newInstanceId: undefined, health: [], alerts: [], notes: this.#notes },
      targets: { detection: detectionTime.target ?? Infinity, restart: restartTime.target ?? Infinity },
      restored: isOpen(entry) && entry.readyFor(this.#scope) >= this.#ready,
      ...seen,
    });
  }
}
