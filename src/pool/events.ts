import type { DrillFault, DrillVerdict } from '../config/call-options.js';
import type { ConfigWarned } from '../config/docker-run.js';
import type { PoolError, PoolErrorCode } from '../errors.js';
import type { ListenerError, SafeEmitter } from '../events.js';
import type { AlertEvents } from '../health/alerts/alert-events.js';
import type { HealthEvents } from '../health/health-events.js';
import type { ServiceLevelEvent } from '../health/service-levels/service-level.js';
import type { AuditFailure } from '../monitor/audit/audit-trail.js';
import type { MonitorEvents } from '../monitor/monitor-events.js';
import type { CleanupEvents, CleanupReport } from '../process/cleanup-queue.js';
import type { ContainmentProblem } from '../process/containment-problems.js';
import type { ReapedHost } from '../process/guardian/dead-hosts.js';
import type { Survivor } from '../process/termination-report.js';
import type { DroppedOutput } from '../protocol/channels/noise.js';
import type { ToolChanges } from '../protocol/mux/tool-list.js';
import type { EndReason } from '../server/end-reason.js';
import type { ConfigApplied, ConfigRejected, PoolConfigChanged } from './config-events.js';
import type { LeaseHolder, WaitingCaller } from './instances/pooled-instance.js';
import type { PackageEvents } from './package-events.js';

/** The process tree that an event is about. */
export interface ServerEvent {
  /** Name of the definition. */
  readonly name: string;
  /** `mcp-<timestamp>-<sequence>`. */
  readonly instanceId: string;
  /** Pid of the process that was spawned; undefined while none was. */
  readonly pid: number | undefined;
  /** The tenant that it serves; before its first lease the one for which it was started. */
  readonly tenant: string | undefined;
  /**
   * The leases on it, oldest first: by them a host finds the sessions that the event concerns. From its end on those that it
   * had when that began, also when they have moved or ended since.
   */
  readonly leases: readonly LeaseHolder[];
  /**
   * Before its first lease: the owners of the calls of `getServer()` that may get it, each once, the oldest call first, at most
   * 100. So a host finds the session that waits for a start, and can show it what the server writes to stderr. Else empty.
   */
  readonly callers: readonly WaitingCaller[];
}

/** The breaker that an event is about: each tenant of a server has a breaker of its own, and so have calls with other values. */
export interface BreakerEvent {
  /** Name of the definition. */
  readonly name: string;
  /** Whose breaker it is; undefined: of calls without a tenant. */
  readonly tenant: string | undefined;
  /**
   * A mark of the `env`, `args` and `cwd` of its calls; undefined for calls that change nothing. Equal for equal values, as long as
   * this process lives; nothing of them can be found by it.
   */
  readonly variant: string | undefined;
}

/** The lease that an event is about. */
export interface LeaseEvent {
  /** As `PooledServer.id`. */
  readonly leaseId: string;
  /** Name of the definition. */
  readonly name: string;
  /** The process tree behind the lease now. */
  readonly instanceId: string;
  /** As given to `getServer()`. */
  readonly tenant: string | undefined;
  /** As given to `getServer()`. */
  readonly owner: string | undefined;
}

/** The waiting call of `getServer()` that an event is about. */
export interface QueueEvent {
  /** Name of the definition. */
  readonly name: string;
  /** As given to `getServer()`. */
  readonly tenant: string | undefined;
  /** As given to `getServer()`. */
  readonly owner: string | undefined;
}

/** Result of `shutdown()`: what was ended, and what could not be proven dead. */
export interface ShutdownReport extends EndReport {
  /** Number of waiting callers that were rejected with `POOL_CLOSED`. */
  readonly rejected: number;
}

/** Result of `endAll()`: how every tree ended. */
export interface EndReport {
  /** `emergency`: the host asked for it, or the `timeout` of a graceful shutdown passed. */
  readonly mode: 'graceful' | 'emergency';
  /** How long it took, in milliseconds. */
  readonly duration: number;
  /** Number of leases that were held when it began. */
  readonly leases: number;
  /** One report for each tree that lived when it began. */
  readonly servers: readonly CleanupReport[];
  /**
   * Names of the servers in the order of the end: those of a wave need none of the waves before it. A server ends when those that
   * depend on it have ended; in an emergency all end at once.
   */
  readonly waves: readonly (readonly string[])[];
  /** Processes that could not be proven dead. Empty in the normal case. `name`: of the definition. */
  readonly survivors: readonly (Survivor & { readonly name: string })[];
}

/** Through this the parts of a pool emit events. They are delivered when the operation that caused them is complete. */
export type PoolEmitter = Pick<SafeEmitter<PoolEvents>, 'emit' | 'listenerCount'>;

/** The option because of which a caller waits. */
export type Limit = 'maxInstances' | 'maxInstancesPerTenant' | 'maxProcesses' | 'memory' | 'requires';

/**
 * The events of a pool, with the payload of each. All durations are milliseconds. `JSON.stringify()` writes each payload: of an
 * error its message, code, data and causes; what is infinite as `null`. A listener that waits for an event does not keep the
 * host alive: await `waitFor()`, or the call that leads to the event, such as `lease.ended` or `shutdown()`.
 */
export interface PoolEvents
  extends CleanupEvents,
    HealthEvents,
    AlertEvents,
    PackageEvents,
    Omit<MonitorEvents, 'sample:taken'> {
  /** A process was spawned and registered. Its handshake begins. */
  'server:starting': ServerEvent;
  /** The server can be used. `duration`: since its spawn, in ms. */
  'server:ready': ServerEvent & { readonly duration: number };
  /** The server could not be started. `error`: the error that its callers get. */
  'server:failed': ServerEvent & { readonly error: PoolError };
  /**
   * The process that was spawned has exited. `unexpected`: the pool had not asked for it, whatever the exit code.
   * `outOfMemory`: the kernel killed a process of the server because memory ran out; known only for a server in a cgroup with
   * the memory controller. `stderrTail`: the end of what the server wrote to stderr, at most 64 KB, secrets hidden.
   */
  'server:exited': ServerEvent & {
    readonly exitCode: number | null;
    readonly signal: string | null;
    readonly unexpected: boolean;
    readonly outOfMemory: boolean;
    readonly stderrTail: string;
  };
  /** The server ended unexpectedly. It is started again for its leases, after `delay` ms and proof of its death. */
  'server:restarting': ServerEvent & { readonly error: PoolError; readonly delay: number };
  /** This process has replaced the process `previousInstanceId`, and now serves its leases. */
  'server:restarted': ServerEvent & { readonly previousInstanceId: string };
  /**
   * A restarted or replaced server has other tools than its clients know. The clients get
   * `notifications/tools/list_changed`.
   */
  'tools:changed': ServerEvent & ToolChanges;
  /**
   * A client declares capabilities (sampling, elicitation, roots, tasks, extensions, experimental), or parts of them, that
   * the pool has not declared to its server, so the server will not use them. Emitted once for each capability of a
   * definition. `message` says what to do: declare them in `clientCapabilities` of the definition, or make a shared server
   * `exclusive` or `dedicated`.
   */
  'capability:undeclared': ServerEvent & { readonly capabilities: readonly string[]; readonly message: string };
  /** The server failed too often: it is not started for `cooldown` ms, and callers get `BREAKER_OPEN`. `error`: the last failure. */
  'breaker:opened': BreakerEvent & { readonly cooldown: number; readonly error: PoolError };
  /** The cooldown is over: one start is allowed. Its result closes the breaker or opens it again. */
  'breaker:half-opened': BreakerEvent;
  /** The one start succeeded, or the breaker was reset: the server is started as usual again. */
  'breaker:closed': BreakerEvent;
  /**
   * `restart()`, `updateServer()`, `setServer()` or `removeServer()` waits until the `leases` of this process are released; it
   * serves no new ones. `timeout`: after which they are taken back, in ms.
   */
  'server:draining': ServerEvent & { readonly reason: EndReason; readonly timeout: number };
  /** The pool begins to end the tree, for this reason. */
  'server:stopping': ServerEvent & { readonly reason: EndReason };
  /** All processes of the tree are proven dead, and its slot is free. `report`: undefined if no process had been started. */
  'server:stopped': ServerEvent & {
    readonly reason: EndReason | undefined;
    readonly report: CleanupReport | undefined;
  };
  /** The tree could not be proven dead. It keeps its slot until it is; the pool looks again every 30 s. */
  'server:quarantined': ServerEvent & { readonly report: CleanupReport };
  /** A line that the server wrote to stderr, at most 8,192 characters. */
  'server:stderr': ServerEvent & { readonly line: string };
  /**
   * The server wrote to stdout what was dropped: lines that are no messages, or answers to no request. Counts are since the
   * last such event of this process. Emitted at the first, then at most every 10 s, and at the end of the process.
   */
  'server:noise': ServerEvent & DroppedOutput;
  /** A caller got a lease. `waited`: since the call of `getServer()`, in ms. */
  'lease:acquired': LeaseEvent & { readonly waited: number };
  /** A lease ended, for whatever reason. `held`: its duration, in ms. `leaked`: whether `lease:leaked` was emitted for it. */
  'lease:released': LeaseEvent & { readonly held: number; readonly leaked: boolean };
  /** The lease has another process now, since its server was restarted or replaced. */
  'lease:moved': LeaseEvent & { readonly previousInstanceId: string };
  /**
   * The pool took a lease back: it was silent for `leaseIdleTimeout` while a caller waited, or a drain timeout passed. `held`,
   * `silent`: in ms.
   */
  'lease:reclaimed': LeaseEvent & { readonly held: number; readonly silent: number };
  /** A lease is held for longer than `leakDetection`. `held`: in ms. `stack`: where `getServer()` was called. */
  'lease:leaked': LeaseEvent & { readonly held: number; readonly stack: string | undefined };
  /** A caller has to wait: for a start, a slot or a release. `waiting`: the number of callers that wait. */
  'queue:waiting': QueueEvent & { readonly waiting: number };
  /** A caller that had to wait got a lease. `waited`: in ms. */
  'queue:served': QueueEvent & { readonly waited: number };
  /** A call of `getServer()` was refused, gave up or failed. `waited`: in ms. `code`: of the error that it got. */
  'queue:rejected': QueueEvent & { readonly waited: number; readonly code: PoolErrorCode };
  /** A caller waits because of a limit of the server `name` or of the pool. `value`: of the limit. */
  'limit:reached': { readonly name: string; readonly limit: Limit; readonly value: number };
  /** A host of the same user had died together with its guardian, and its processes lived on. This pool has ended them. */
  'orphan:reaped': ReapedHost;
  /** A means of containment is missing on this host, so less is guaranteed. Emitted once for each reason. */
  'containment:degraded': ContainmentProblem;
  /** A server, or the pool, uses up what a target allows so fast that it will not last: see docs/service-levels.md. */
  'service-level:breached': ServiceLevelEvent;
  /** It does so no more, for 5 minutes. */
  'service-level:recovered': ServiceLevelEvent;
  /** The file of the option `audit` cannot be written: once, until it can be written again. Or it cannot be rotated: once. */
  'audit:failed': AuditFailure;
  /** `applyConfig()` has changed something: the names, by what was done with them, and where they come from. */
  'config:applied': ConfigApplied;
  /** `watchMcpConfig()` cannot use a file, or entries of it: what was good before stays. Once, until the problems are others. */
  'config:rejected': ConfigRejected;
  /** `pool` of a watched file has changed. It is not applied: it holds for the next pool that is made from the file. */
  'config:pool-changed': PoolConfigChanged;
  /** `runRecoveryDrill()` has broken this instance on purpose: what follows is no failure. */
  'drill:started': ServerEvent & { readonly fault: DrillFault };
  /** The drill is over, and what it had broken is repaired. The report of the call has more. Times are in ms. */
  'drill:finished': {
    readonly name: string;
    readonly instanceId: string;
    readonly fault: DrillFault;
    readonly verdict: DrillVerdict;
    readonly detection: number | undefined;
    readonly restart: number | undefined;
  };
  /** A definition was given that works, but will cause trouble: `message` says which, and what to write. */
  'config:warned': ConfigWarned;
  /** `shutdown()` was called. */
  'pool:draining': { readonly mode: 'graceful' | 'emergency' };
  /** The shutdown is complete; the report is what `shutdown()` resolves with. */
  'pool:closed': ShutdownReport;
  /**
   * A fault of this library, not of the server, while it handled a message. The server is ended, and its open requests are
   * answered with `INTERNAL_ERROR`. Please report it with `error.cause`. A fault in a timer of the pool may concern a call only,
   * which gets the error: then there are only `name` and `tenant`; or no server at all: then there is only `error`.
   */
  'internal:error': Partial<ServerEvent> & { readonly error: PoolError };
  /** A listener threw an error, or returned a promise that was rejected. */
  'listener:error': ListenerError;
}

/** An event with its payload, as the arguments of a listener of `onAny()`: `event` says which payload it is. */
export type AnyPoolEvent = { [K in keyof PoolEvents]: [event: K, payload: PoolEvents[K]] }[keyof PoolEvents];

/** The events of `pool.monitor` that the pool emits, too. */
export const MONITOR_EVENTS = [
  'level:changed',
  'limit:exceeded',
  'limit:recovered',
  'growth:detected',
  'leak:suspected',
  'leak:confirmed',
  'action:taken',
  'monitor:degraded',
  'listener:error',
] as const satisfies readonly (keyof MonitorEvents)[];

/** The events of `pool.health`, which the pool emits, too. */
export const HEALTH_EVENTS = [
  'health:changed',
  'health:checked',
  'stuck:detected',
  'listener:error',
] as const satisfies readonly (keyof HealthEvents)[];

/** The events of `pool.alerts`, which the pool emits, too. */
export const ALERT_EVENTS = [
  'alert:raised',
  'alert:repeated',
  'alert:escalated',
  'alert:acknowledged',
  'alert:resolved',
  'alert:dropped',
  'listener:error',
] as const satisfies readonly (keyof AlertEvents)[];

/** The events of `pool.cleanup`, which the pool emits, too. */
export const CLEANUP_EVENTS = [
  'cleanup:started',
  'signal:sent',
  'cleanup:escalated',
  'cleanup:finished',
  'cleanup:failed',
  'listener:error',
] as const satisfies readonly (keyof CleanupEvents)[];
