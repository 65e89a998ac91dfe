import type {
  Alert,
  InstanceStatus,
  MCPServerPool,
  PoolMetrics,
  PoolStatus,
  ResourceSample,
  ServerStatus,
} from '../index.js';
import type { BoundedNames } from './bounded-names.js';
import { serverLabel } from './server-label.js';

/** The states that an instance of `status()` can have. */
const STATES = ['starting', 'ready', 'stopping', 'quarantined'] as const satisfies readonly InstanceStatus['state'][];
/** What the health of an instance can be, once it was checked. */
const HEALTHS = ['healthy', 'busy', 'degraded', 'unhealthy'] as const satisfies readonly InstanceStatus['health'][];

/** The figures of one server: of all its instances. */
export interface ServerFigures {
  idle: number;
  leases: number;
  waiting: number;
  openRequests: number;
  memoryMB: number;
  cpuPercent: number;
  processes: number;
  openBreakers: number;
  readonly states: Record<string, number>;
  readonly health: Record<string, number>;
}

/** The figures of one tenant. */
export interface TenantFigures {
  instances: number;
  leases: number;
}

/** What is exported of a pool, at one moment. */
export interface Snapshot {
  readonly status: PoolStatus;
  readonly metrics: PoolMetrics;
  /** Those that are raised and not resolved. */
  readonly alerts: readonly Alert[];
  /** The last of the monitor; undefined before the first. */
  readonly sample: ResourceSample | undefined;
  /** By label. */
  readonly servers: ReadonlyMap<string, ServerFigures>;
  /** By label; empty where tenants have no figures of their own. */
  readonly tenants: ReadonlyMap<string, TenantFigures>;
}

/** Which names get figures of their own. `tenants`: undefined where none does. */
export interface Labels {
  readonly servers: BoundedNames;
  readonly tenants: BoundedNames | undefined;
}

export function takeSnapshot(pool: MCPServerPool, labels: Labels): Snapshot {
  const status = pool.status();
  const all = Object.entries(status.servers).map(([name, server]) => ({ name: serverLabel(name), server }));
  const instances = all.flatMap(({ server }) => server.instances);
  labels.servers.makeRoom(new Set(all.map(({ name }) => name)));
  return {
    status,
    metrics: pool.metrics(),
    alerts: pool.alerts.active(),
    sample: pool.monitor.latest,
    servers: figuresOf(all, labels.servers),
    tenants: labels.tenants ? tenantsOf(instances, labels.tenants) : new Map(),
  };
}

function figuresOf(all: readonly { readonly name: string; readonly server: ServerStatus }[], names: BoundedNames) {
  const servers = new Map<string, ServerFigures>();
  for (const { name, server } of all) {
    const label = names.of(name);
    const sum = servers.get(label) ?? noFigures();
    servers.set(label, sum);
    sum.idle += server.idle;
    sum.waiting += server.waiting;
    for (const { state } of server.breakers) if (state !== 'closed') sum.openBreakers += 1;
    for (const instance of server.instances) addInstance(sum, instance);
  }
  return servers;
}

function addInstance(sum: ServerFigures, instance: InstanceStatus): void {
  const { state, health } = instance;
  sum.leases += instance.leases;
  sum.openRequests += instance.openRequests;
  sum.memoryMB += instance.memoryMB ?? 0;
  sum.cpuPercent += instance.cpuPercent ?? 0;
  sum.processes += instance.treeProcesses ?? 0;
  sum.states[state] = (sum.states[state] ?? 0) + 1;
  if (health !== undefined) sum.health[health] = (sum.health[health] ?? 0) + 1;
}

function noFigures(): ServerFigures {
  const none = {
    idle: 0,
    leases: 0,
    waiting: 0,
    openRequests: 0,
    memoryMB: 0,
    cpuPercent: 0,
    processes: 0,
    openBreakers: 0,
  };
  return { ...none, states: zeros(STATES), health: zeros(HEALTHS) };
}

/** Every series exists from the start: a figure that appears with its first value has no rate. */
function zeros(keys: readonly string[]): Record<string, number> {
  return Object.fromEntries(keys.map((key) => [key, 0]));
}

function tenantsOf(instances: readonly InstanceStatus[], names: BoundedNames) {
  const tenants = new Map<string, TenantFigures>();
  names.makeRoom(new Set(instances.flatMap(({ tenant }) => tenant ?? [])));
  for (const { tenant, leases } of instances) {
    if (tenant === undefined) continue;
    const label = names.of(tenant);
    const sum = tenants.get(label) ?? { instances: 0, leases: 0 };
    tenants.set(label, sum);
    sum.instances += 1;
    sum.leases += leases;
  }
  return tenants;
}
