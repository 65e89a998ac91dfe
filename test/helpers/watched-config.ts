import { watch } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import { type WatchMcpConfigOptions, watchMcpConfig } from '../../src/config.js';
import type { ConfigApplied, ConfigRejected, PoolConfigChanged, PoolOptions } from '../../src/index.js';
import { ManualClock } from './clock.js';
import { setUp } from './fake-pool.js';
import { newFolder } from './folders.js';
import { until } from './until.js';

// The first watch of a process opens the descriptors that all later ones share: it belongs to no test.
watch(tmpdir(), { persistent: false }).close();

type ConfigEvent = ConfigApplied | ConfigRejected | PoolConfigChanged;

/** Servers whose command is their name. */
export const serversOf = (...names: string[]) => Object.fromEntries(names.map((name) => [name, { command: name }]));
export const contentOf = (...names: string[]) => JSON.stringify({ mcpServers: serversOf(...names) });

/** A pool with a watched file. Time stands still until the test advances it; changes of files are those of the system. */
export function watched(
  path = join(newFolder(), 'servers.json'),
  options: WatchMcpConfigOptions = {},
  pool: PoolOptions = {},
) {
  const world = setUp(pool);
  const clock = new ManualClock();
  const events: [string, ConfigEvent][] = [];
  for (const event of ['config:applied', 'config:rejected', 'config:pool-changed'] as const)
    world.pool.on(event, (payload: ConfigEvent) => events.push([event, payload]));
  const watching = watchMcpConfig(path, world.pool, { env: {}, ...options }, { clock });
  onTestFinished(() => {
    watching.close();
    expect(clock.pending).toBe(0);
  });
  const names = () => Object.keys(world.pool.status().servers).sort();
  /** Advances the time again and again, since the system tells changes when it likes. */
  const settles = (what: string, holds: () => boolean) =>
    until(what, async () => {
      await clock.advanceAndFlush(500);
      return holds();
    });
  return { ...world, clock, watch: watching, path, names, events, settles };
}
