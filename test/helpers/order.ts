import type { MCPServerPool } from '../../src/index.js';
import type { FakeLauncher } from './fake-launcher.js';

/** The living instances of a pool, as name and tenant. */
export function instancesOf(pool: MCPServerPool): string[] {
  return Object.entries(pool.status().servers)
    .flatMap(([name, { instances }]) => instances.map(({ tenant = '-' }) => `${name} ${tenant}`))
    .sort();
}

/** The names of the servers that were launched, oldest first. */
export const launched = ({ servers }: FakeLauncher) => servers.map(({ definition }) => definition.name);

/** The same of those that live, by name. */
export const living = (launcher: FakeLauncher) => launcher.living.map(({ definition }) => definition.name).sort();
