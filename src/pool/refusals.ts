import { nearest } from '../config/nearest.js';
import {
  namesOf,
  PoolError,
  type PoolErrorData,
  type ServerNames,
  shownName,
  type UnmetRequirement,
} from '../errors.js';
import type { Overload, Shortage } from '../monitor/finding.js';
import { letsServerAsk } from '../protocol/eras/undeclared.js';
import { describeUnmet } from '../sequence/preflight/unmet.js';
import type { EndReason } from '../server/end-reason.js';
import type { Limit } from './events.js';
import type { LeaseScope } from './instances/lease-scope.js';
import type { PooledInstance } from './instances/pooled-instance.js';
import type { OpenEntry } from './instances/server-entry.js';
import { isShownTo } from './instances/start-failure.js';

/** Most names that an error shows: a host may have many servers, and those of one tenant are nothing to another. */
const MOST_NAMES = 3;
/** A longer name is cut in an error. */
const LONGEST_NAME = 100;

/** @param server undefined when the call did not name one */
export function unknownServer(server: ServerNames | undefined, known: readonly string[], why: string): PoolError {
  const name = server?.name;
  const shown = server && shownName(server);
  const quoted = shown !== undefined && shown.length > LONGEST_NAME ? `${shown.slice(0, LONGEST_NAME)}…` : shown;
  const message = `${quoted === undefined ? 'the server' : `server '${quoted}'`} ${why}; ${hintFor(name, known)}`;
  return new PoolError('UNKNOWN_SERVER', message, { name, ...(server && namesOf(server)) });
}

function hintFor(name: string | undefined, known: readonly string[]): string {
  const count = known.length;
  if (count === 0) return 'none is defined; call addServer()';
  const near = name === undefined ? [] : nearest(name, known, MOST_NAMES);
  if (near.length > 0) return `did you mean ${near.map((one) => `'${one}'`).join(' or ')}?`;
  return `${count === 1 ? '1 server is' : `${count} servers are`} defined; status().servers has ${count === 1 ? 'its name' : 'their names'}`;
}

/** A server that is to be removed, and others depend on it. */
export function stillNeeded(server: ServerNames, dependents: readonly string[]): PoolError {
  const shown = dependents.slice(0, MOST_NAMES).map((name) => `'${name}'`);
  const rest = dependents.length > MOST_NAMES ? ` and ${dependents.length - MOST_NAMES} more` : '';
  const problem = `server '${shownName(server)}' cannot be removed: ${shown.join(', ')}${rest} depend${dependents.length === 1 ? 's' : ''} on it (dependsOn); remove or change that before`;
  return new PoolError('INVALID_OPTIONS', problem, { ...namesOf(server), problems: [problem] });
}

export function poolClosed(): PoolError {
  return new PoolError('POOL_CLOSED', 'the pool was shut down; create a new MCPServerPool to go on');
}

/** A call for a server: as the host writes it, or with the label that its end users know. */
function callFor({ name, label }: ServerNames): string {
  return label === undefined ? `getServer('${name}')` : `the call for server '${label}'`;
}

/** @param whatFor ends the sentence about the callers that wait already */
export function queueFull(server: ServerNames, most: number, whatFor = '(maxWaiting)'): PoolError {
  return new PoolError(
    'QUEUE_FULL',
    `${callFor(server)} was refused at once: ${most} callers wait already ${whatFor}; release servers sooner, raise maxInstances or limits.maxProcesses, or try again later`,
    namesOf(server),
  );
}

/** A server that another depends on cannot be used. @param dependency its name, and what end users know it by */
export function dependencyFailed(
  server: ServerNames,
  dependency: ServerNames,
  cause: PoolError | undefined,
): PoolError {
  const root = cause?.code === 'DEPENDENCY_FAILED' && cause.cause instanceof PoolError ? cause.cause : cause;
  const why = root === undefined ? 'it is not there' : root.message;
  const problem = `${callFor(server)} failed: it depends on server '${shownName(dependency)}', which cannot be used: ${why}`;
  return new PoolError('DEPENDENCY_FAILED', problem, namesOf(dependency), root);
}

/** A start was given up. */
export function notBroughtUp(why: string): PoolError {
  return new PoolError('SEQUENCE_ABORTED', `the start was aborted: ${why}`);
}

/** Its server is ended, since one that it depends on has ended, is restarted, or cannot be used any more. */
export function endedWithDependency(instance: ServerNames, why: string): PoolError {
  return new PoolError('SERVER_STOPPED', `server '${shownName(instance)}' was ended: ${why}`, namesOf(instance));
}

/** Nothing new is started while the pool is at a level that refuses it. */
export function overloaded(server: ServerNames, { level, measured, threshold, by, cooldownLeft }: Overload): PoolError {
  const what =
    by === 'processes'
      ? `${measured} processes more than expected (this level begins at ${threshold})`
      : `the servers use ${Math.round(measured)} MB (this level begins at ${Math.round(threshold)} MB)`;
  // A level lasts until it was lower for its cooldown.
  const isOver = cooldownLeft !== undefined;
  const rest = isOver
    ? `it was lower for monitoring.levels.cooldown, of which ${Math.ceil(cooldownLeft / 1_000)} s are left`
    : 'that is over (monitoring.levels)';
  const message = `${callFor(server)} was refused at once: the pool is ${isOver ? 'still ' : ''}at level '${level}', ${isOver ? 'now ' : ''}${what}; nothing is started until ${rest}`;
  return new PoolError('OVERLOADED', message, { ...namesOf(server), level, value: measured, limit: threshold });
}

export function aborted(server: ServerNames, after: number, why: string, cause?: unknown): PoolError {
  return new PoolError(
    'ACQUIRE_ABORTED',
    `${callFor(server)} was given up after ${after} ms: ${why}`,
    { ...namesOf(server), after },
    cause,
  );
}

export function undeclared(instance: PooledInstance, capabilities: readonly string[]): string {
  const { sharing } = instance;
  const client = `a client of server '${shownName(instance)}'`;
  const never = capabilities.filter((capability) => sharing === 'shared' && letsServerAsk(capability));
  const others = capabilities.filter((capability) => !never.includes(capability));
  const sentences: string[] = [];
  if (never.length > 0) {
    sentences.push(
      `${client} declares ${never.join(', ')}; a shared server never sends requests to its clients: use sharing 'exclusive' or 'dedicated' (docs/sharing.md)`,
    );
  }
  if (others.length > 0) {
    sentences.push(
      `${client} declares ${others.join(', ')}, which the pool did not declare to the server; declare it in clientCapabilities of its definition`,
    );
  }
  return sentences.join('; ');
}

/** A caller that waits. */
interface Caller extends LeaseScope {
  readonly name: string;
  readonly since: number;
}

/** What a caller waited for when its time ran out. */
export interface WaitedFor {
  /** Data of the start that was on the way for it; undefined without one. */
  readonly starting: PoolErrorData | undefined;
  /** `limits.concurrentStarts`, if that start waits for its turn; undefined otherwise. */
  readonly turnLimit: number | undefined;
  /** The limit that kept it waiting; undefined without one. */
  readonly limit: Limit | undefined;
  /** Number of idle trees that no caller may end for their slots, or for memory: those of essential servers. */
  readonly keptIdle: number;
  /** The lack of memory, if that is the limit. */
  readonly shortage: Shortage | undefined;
  /** What this host lacks, if that is the limit. */
  readonly unmet: readonly UnmetRequirement[];
  /** What its server depends on, and is not there: empty where that is not what it waits for. */
  readonly missing: readonly string[];
  /** Whether this host is looked at just now. */
  readonly isLooking: boolean;
  /** A shared instance that is being replaced, why, and how many requests or leases that waits for; undefined without one. */
  readonly replaced:
    | { readonly reason: EndReason; readonly left: number; readonly waitsFor: 'request' | 'lease' }
    | undefined;
}

/** The error of a caller that got no server in time: what it waited for, and what would have helped. */
export function acquireTimeout(caller: Caller, entry: OpenEntry, after: number, waitedFor: WaitedFor): PoolError {
  const { starting, turnLimit } = waitedFor;
  const isStart = starting !== undefined && turnLimit === undefined;
  const unmet = waitedFor.limit === 'requires' ? { unmet: waitedFor.unmet } : {};
  const phase = isStart ? ('start' as const) : ('queue' as const);
  const data = { ...starting, ...namesOf(entry), ...unmet, after, phase };
  const message = `${callFor(entry)} got no server within ${after} ms: ${whyNoServer(entry, waitedFor)}`;
  return new PoolError('ACQUIRE_TIMEOUT', message, data, failureFor(caller, entry));
}

function whyNoServer(
  { definition: { maxInstances, maxInstancesPerTenant, sharing } }: OpenEntry,
  { starting, turnLimit, limit, shortage, unmet, isLooking, keptIdle, missing, replaced }: WaitedFor,
): string {
  if (missing.length > 0) {
    const names = missing.map((name) => `'${name}'`).join(', ');
    return `it depends on ${names}, which ${missing.length === 1 ? 'was' : 'were'} still being started; raise timeout (acquireTimeout), or call start() before`;
  }
  if (turnLimit !== undefined)
    return `its start still waited for its turn, since ${turnLimit} starts (limits.concurrentStarts) were under way; raise timeout (acquireTimeout) or limits.concurrentStarts, or start fewer servers at once`;
  if (starting) {
    const dropped = starting.dropped?.map((line) => `"${line}"`).join(', ');
    const wrote = dropped === undefined ? '' : ` (it wrote to stdout what is no message: ${dropped})`;
    return `its server is still starting${wrote}, and goes on with that up to its startTimeout: call again; or raise timeout (acquireTimeout), or start it before with warm() or minIdle`;
  }
  if (replaced) {
    const { reason, left, waitsFor } = replaced;
    const what = `${left} ${waitsFor}${left === 1 ? '' : 's'}`;
    return waitsFor === 'request'
      ? `its server is being replaced (${reason}), and has to answer ${what} first; raise timeout (acquireTimeout), or raise maxInstances or limits.maxProcesses, so that the next one can start beside it`
      : `its server is to end (${reason}), and waits for the end of ${what}; release servers sooner, or raise maxInstances`;
  }
  if (limit === 'memory')
    return `the servers use ${Math.round(shortage?.memoryMB ?? 0)} MB of the ${shortage?.limitMB} MB that they may (limits.memoryLimitMB)${keptMemory(keptIdle)}, so none was started; release servers sooner, lower idleTimeout, or raise limits.memoryLimitMB`;
  if (limit === 'maxProcesses') {
    const kept = keptIdle > 0 ? ` (${keptIdle} of them by idle trees of servers with priority 'essential')` : '';
    return `all process slots (limits.maxProcesses) are in use${kept}; release servers sooner, or raise limits.maxProcesses`;
  }
  if (limit === 'maxInstancesPerTenant')
    return `its tenant has all ${maxInstancesPerTenant} instances that it may have of this server (maxInstancesPerTenant); release servers sooner, or raise maxInstancesPerTenant`;
  if (limit === 'requires')
    return `this host lacks what a start requires (limits.requires): ${describeUnmet(unmet)}; free it, lower limits.requires, or raise timeout (acquireTimeout)`;
  if (limit === undefined && isLooking)
    return 'this host was still being looked at (limits.requires): a file system of freeDiskMB does not answer';
  if (limit === undefined)
    return 'the process that had to end first had not ended yet; raise timeout (acquireTimeout), or lower eofGrace, termGrace and giveUpGrace of the servers';
  return sharing === 'shared'
    ? `all ${maxInstances} instances (maxInstances) have maxSessions leases, or belong to other tenants, or to calls with other env, args or cwd; release servers sooner, or raise maxInstances or maxSessions`
    : `all ${maxInstances} instances (maxInstances) are in use, and the server is not shared: sharing is '${sharing}', so each serves one lease at a time; release servers sooner, raise maxInstances, or declare sharing: 'shared' if it keeps no state of its clients (docs/sharing.md)`;
}

function keptMemory(keptIdle: number): string {
  if (keptIdle === 0) return '';
  const trees = keptIdle === 1 ? '1 idle tree' : `${keptIdle} idle trees`;
  return `, of which ${trees} of servers with priority 'essential' ${keptIdle === 1 ? 'keeps its' : 'keep their'} part`;
}

/** The last start that failed for the tenant of this caller while it waited. Failures of other tenants are not shown to it. */
function failureFor(caller: Caller, { lastFailure }: OpenEntry): PoolError | undefined {
  if (lastFailure === undefined || lastFailure.at < caller.since) return undefined;
  return isShownTo(lastFailure, caller) ? lastFailure.error : undefined;
}

/** A fault of this library that no server has part in. @param caller the call that fails because of it, if it does */
export function ownFault(cause: unknown, caller?: ServerNames): PoolError {
  const what = cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause);
  const failed = caller ? `a call for server '${shownName(caller)}' failed` : 'a timer of the pool failed';
  const message = `${failed} because of a fault in mcp-server-pool (${what}): please report it with the cause of this error`;
  return new PoolError('INTERNAL_ERROR', message, caller && namesOf(caller), cause);
}
