import type { ServerEvent } from './events.js';
import type { PooledInstance } from './instances/pooled-instance.js';

/** What each event about a process tree says of it. */
export function serverEvent({ name, id: instanceId, pid, tenant, concerned }: PooledInstance): ServerEvent {
  return { name, instanceId, pid, tenant, ...concerned };
}
