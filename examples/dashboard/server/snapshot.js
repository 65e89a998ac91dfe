/**
 * What a page shows of a pool, once a second. Each field is named here: what is not never gets to a page, as what servers have
 * written (`dropped`) and definitions with their `env`.
 */
export function snapshotOf(pool, { now, drained }) {
  const status = pool.status();
  const { totals, host } = pool.monitor.latest ?? {};
  const verdict = pool.health.verdict({ probe: 'readiness' });
  const checks = new Map(verdict.checks.map((check) => [check.name, check]));
  const { state, level, processes, maxProcesses, idle, leases, waiting, startsWaiting } = status;
  return {
    at: now,
    pool: { state, level, processes, maxProcesses: finite(maxProcesses), idle, leases, waiting, startsWaiting },
    verdict: { status: verdict.status, notWell: notWell(verdict.checks) },
    host: hostOf(host),
    totals: {
      memoryMB: rounded(totals?.memoryMB),
      cpuPercent: rounded(totals?.cpuPercent),
      processes: totals?.processes,
      leases,
      waiting,
    },
    counts: countsOf(pool.metrics()),
    servers: [
      ...Object.entries(status.servers).map(([name, server]) => serverOf(name, server, checks.get(name))),
      ...drained.filter((name) => !Object.hasOwn(status.servers, name)).map(drainedServer),
    ].map((server) => ({ ...server, isDrained: drained.includes(server.name) })),
    alerts: status.alerts.map(alertOf),
  };
}

function serverOf(name, server, check) {
  const { defined, label, sharing, maxInstances, idle, waiting, lastFailure, breakers } = server;
  const instances = server.instances.map(instanceOf);
  return {
    name,
    label,
    defined,
    sharing,
    maxInstances: finite(maxInstances),
    idle,
    waiting,
    lastFailure: lastFailure?.slice(0, 500),
    check: check && { status: check.status, reason: check.reason, action: check.action },
    breakers: breakers.map(({ tenant, state, failures, retryAt }) => ({
      tenant,
      state,
      failures,
      retryAt: finite(retryAt),
    })),
    instances,
    totals: {
      memoryMB: sumOf(instances, 'memoryMB'),
      cpuPercent: sumOf(instances, 'cpuPercent'),
      processes: sumOf(instances, 'treeProcesses'),
      leases: sumOf(instances, 'leases') ?? 0,
      waiting,
    },
  };
}

/** A server that this dashboard has removed from the pool, and can put back. */
function drainedServer(name) {
  const totals = { leases: 0, waiting: 0 };
  return { name, defined: false, maxInstances: 0, idle: 0, waiting: 0, breakers: [], instances: [], totals };
}

function instanceOf({ id, pid, state, leases, tenant, owner, startedAt, uses, openRequests, ...rest }) {
  const { waitsForTurn, memoryMB, cpuPercent, treeProcesses, health } = rest;
  return {
    ...{ id, pid, state, waitsForTurn, leases, tenant, startedAt, uses, openRequests, treeProcesses, health },
    owner: shortened(owner),
    memoryMB: rounded(memoryMB),
    cpuPercent: rounded(cpuPercent),
  };
}

/** Not its `data`, nor why a tier could not be told. */
function alertOf({ id, kind, subject, severity, state, message, action, since, count, tier, ...rest }) {
  const { acknowledgedBy, holds, inhibited } = rest;
  return { id, kind, subject, severity, state, message, action, since, count, tier, acknowledgedBy, holds, inhibited };
}

function hostOf({ memory, load, cpus, eventLoopDelay } = {}) {
  return {
    memoryUsedPercent: rounded(memory?.usedPercent),
    load: rounded(load?.[0]),
    cpus: cpus?.allowed,
    eventLoopDelay: rounded(eventLoopDelay?.p99),
  };
}

function countsOf({ started, crashes, restarts, evicted, reclaimed, rejected, startFailures }) {
  return { started, crashes, restarts, evicted, reclaimed, rejected, startFailures };
}

/** Names; why is said beside each server. */
function notWell(checks) {
  return checks.filter(({ status }) => status !== 'ok').map(({ name }) => name);
}

/** Gateways name the sessions of their clients as owners: who knows a whole id may take the session over. */
function shortened(owner) {
  return owner !== undefined && owner.length > 12 ? `${owner.slice(0, 8)}…` : owner;
}

/** Undefined when none is known. */
function sumOf(instances, field) {
  const known = instances.map((instance) => instance[field]).filter((value) => value !== undefined);
  return known.length === 0 ? undefined : rounded(known.reduce((sum, value) => sum + value, 0));
}

function rounded(value) {
  return value === undefined ? undefined : Math.round(value * 10) / 10;
}

/** JSON has no infinite numbers. */
function finite(value) {
  return Number.isFinite(value) ? value : undefined;
}
