import type { PoolError, PoolErrorCode } from '../errors.js';
import type { ListenerError, SafeEmitter } from '../events.js';
import type { CleanupEvents, CleanupReport } from '../process/cleanup-queue.js';
import type { ContainmentProblem } from '../process/containment-problems.js';
import type { ReapedHost } from '../process/guardian/dead-hosts.js';
import type { ToolChanges } from '../protocol/mux/tool-list.js';
import type { EndReason } from '../server/end-reason.js';

/** Which server an event is about. */
export interface ServerEvent {
  /** Name of the definition. */
  readonly name: string;
  readonly instanceId: string;
  readonly pid: number | undefined;
  readonly tenant: string | undefined;
}

/** Whose server an event is about. Each tenant has a breaker of its own. */
export interface BreakerEvent {
  readonly name: string;
  readonly tenant: string | undefined;
}

/** Which lease an event is about. */
export interface LeaseEvent {
  readonly leaseId: string;
  readonly name: string;
  readonly instanceId: string;
  readonly tenant: string | undefined;
  readonly owner: string | undefined;
}

/** Which waiting call of `getServer()` an event is about. */
export interface QueueEvent {
  readonly name: string;
  readonly tenant: string | undefined;
  readonly owner: string | undefined;
}

/** What was ended when a pool shut down. */
export interface ShutdownReport {
  /** `emergency` when it was asked for, or when the time of a graceful shutdown ran out. */
  readonly mode: 'graceful' | 'emergency';
  /** Milliseconds. */
  readonly duration: number;
  /** Leases that were held when it began. */
  readonly leases: number;
  /** Callers that waited, and were rejected with `POOL_CLOSED`. */
  readonly rejected: number;
  /** How each tree ended that lived when it began. */
  readonly servers: readonly CleanupReport[];
  /** Processes that could not be proven dead. Empty when all is well. */
  readonly survivors: readonly { readonly name: string; readonly pid: number; readonly command: string }[];
}

/** Where the parts of a pool emit its events. They are delivered when the operation that caused them is complete. */
export type PoolEmitter = Pick<SafeEmitter<PoolEvents>, 'emit' | 'listenerCount'>;

/** A budget that keeps a caller waiting. */
export type Limit = 'maxInstances' | 'maxProcesses';

/**
 * The events of a pool with the payload of each. Waiting for an event does not hold the host open: await the call that
 * leads to it instead, such as `lease.ended` or `shutdown()`.
 */
export interface PoolEvents extends CleanupEvents {
  /** Spawned, and registered. */
  'server:starting': ServerEvent;
  /** It can be used; `duration` is the time from its spawn, ms. */
  'server:ready': ServerEvent & { readonly duration: number };
  /** It could not be started. */
  'server:failed': ServerEvent & { readonly error: PoolError };
  /**
   * Its leader exited. `unexpected`: nobody asked for it, whatever the exit code. `outOfMemory`: the kernel killed a process
   * of it for lack of memory; known where it has a cgroup with the memory controller.
   */
  'server:exited': ServerEvent & {
    readonly exitCode: number | null;
    readonly signal: string | null;
    readonly unexpected: boolean;
    readonly outOfMemory: boolean;
    readonly stderrTail: string;
  };
  /** It ended unasked, and will be started again for its leases, after `delay` ms. */
  'server:restarting': ServerEvent & { readonly error: PoolError; readonly delay: number; readonly leases: number };
  /** The process `previousInstanceId` was replaced by this one, which serves its leases now. */
  'server:restarted': ServerEvent & { readonly previousInstanceId: string; readonly leases: number };
  /** After it was restarted or replaced, it has other tools than its clients know; they are told, too. */
  'tools:changed': ServerEvent & ToolChanges;
  /**
   * A client counts on capabilities (sampling, elicitation, roots) that its server was not started with, so that the
   * server will never use them. Told once for each; `clientCapabilities` of the definition declares them, and `exclusive`
   * or `dedicated` servers can use them.
   */
  'capability:undeclared': ServerEvent & { readonly capabilities: readonly string[]; readonly message: string };
  /** It failed too often: it is not started again for `cooldown` ms, and callers get `BREAKER_OPEN` at once. */
  'breaker:opened': BreakerEvent & { readonly cooldown: number; readonly error: PoolError };
  /** One start is let through, to see. */
  'breaker:half-opened': BreakerEvent;
  /** That start succeeded. */
  'breaker:closed': BreakerEvent;
  'server:stopping': ServerEvent & { readonly reason: EndReason };
  /** Its tree is proven dead; its slot is free. */
  'server:stopped': ServerEvent & {
    readonly reason: EndReason | undefined;
    readonly report: CleanupReport | undefined;
  };
  /** Its tree could not be proven dead; its slot stays taken until it is. */
  'server:quarantined': ServerEvent & { readonly report: CleanupReport };
  /** A line of its stderr, at most 8,192 characters. */
  'server:stderr': ServerEvent & { readonly line: string };
  /** `waited`: ms from the call of `getServer()`. */
  'lease:acquired': LeaseEvent & { readonly waited: number };
  /** `held`: ms. */
  'lease:released': LeaseEvent & { readonly held: number };
  /** Its server is another process now: it was restarted, or replaced. */
  'lease:moved': LeaseEvent & { readonly previousInstanceId: string };
  /** It was silent for `leaseIdleTimeout` while somebody waited, or the host wanted its server to end. */
  'lease:reclaimed': LeaseEvent & { readonly held: number; readonly silent: number };
  /** Held for longer than `leakDetection`; `stack` is where `getServer()` was called. */
  'lease:leaked': LeaseEvent & { readonly held: number; readonly stack: string | undefined };
  /** A caller has to wait: for a start, a slot, or a release. `waiting` counts all that do. */
  'queue:waiting': QueueEvent & { readonly waiting: number };
  'queue:served': QueueEvent & { readonly waited: number };
  'queue:rejected': QueueEvent & { readonly waited: number; readonly code: PoolErrorCode };
  /** A caller waits because of a limit. */
  'limit:reached': { readonly name: string; readonly limit: Limit; readonly value: number };
  /** A host of this user that died together with its guardian had left processes; this is what became of them. */
  'orphan:reaped': ReapedHost;
  /** Something that keeps processes together is not in force on this host: less is guaranteed. Told once for each reason. */
  'containment:degraded': ContainmentProblem;
  'pool:draining': { readonly mode: 'graceful' | 'emergency' };
  'pool:closed': ShutdownReport;
  /**
   * This library failed while it worked on messages of a server: a fault of its own, not of the server. The server is
   * ended, and what it was asked is answered with `INTERNAL_ERROR`. Please report it with `error.cause`.
   */
  'internal:error': ServerEvent & { readonly error: PoolError };
  'listener:error': ListenerError;
}
