import { type Channel, channel } from 'node:diagnostics_channel';
import { POOL_EVENTS } from './event-names.js';
import type { PoolEvents } from './events.js';

/** By event. `mcp-server-pool:server:ready`, …: those of all pools of this thread, of every copy of the package. */
const CHANNELS: ReadonlyMap<PropertyKey, Channel> = new Map(POOL_EVENTS.map((event) => [event, channelOf(event)]));

/** The channel of an event, for what looks at it with each lease. */
export function channelOf(event: keyof PoolEvents): Channel {
  return channel(`mcp-server-pool:${event}`);
}

/** Whether anything subscribes to an event: then its payload has to be made, also when no listener hears it. */
export function isPublished(event: PropertyKey): boolean {
  return CHANNELS.get(event)?.hasSubscribers === true;
}

/** Publishes an event of a pool, if anything subscribes to it. Node reports what a subscriber throws as an uncaught exception. */
export function publishEvent(pool: object, event: PropertyKey, payload: unknown): void {
  if (isPublished(event)) CHANNELS.get(event)?.publish({ pool, payload });
}

/** What subscribers of `mcp-server-pool:<event>` get. */
export interface EventMessage<K extends keyof PoolEvents = keyof PoolEvents> {
  /** The `MCPServerPool`; maybe that of another copy of this package. */
  readonly pool: object;
  readonly payload: PoolEvents[K];
}
