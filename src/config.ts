import { loadConfig } from './config-files/load.js';
import type { LoadMcpConfigOptions } from './config-files/load-options.js';
import type { McpConfigWatch } from './config-files/mcp-config-watch.js';
import type { ReadConfig } from './config-files/read-config.js';
import { watchConfig } from './config-files/watch.js';
import type { WatchMcpConfigOptions } from './config-files/watch-options.js';
// Types of the public surface are named here alone: so the declarations of this entry point import them from the index.
import type { Clock, ConfigProblem, MCPServerPool, PoolOptions, ServerDefinition } from './index.js';

export type { McpConfigFormat } from './config-files/formats.js';
export type { InputReader, LoadMcpConfigOptions, McpConfigInput } from './config-files/load-options.js';
export type { RemoteServer } from './config-files/remote-server.js';
export type { McpConfigWatch, WatchMcpConfigOptions };

/** The key `pool` of a file: the options of a pool without its servers. */
export type PoolPolicy = Omit<PoolOptions, 'servers'>;

/** What a configuration says. */
export interface McpConfig extends ReadConfig<ServerDefinition, PoolPolicy, ConfigProblem> {}

/**
 * Reads the configuration of an MCP host: a file, or an object with its content. What is wrong with a file or an entry is no
 * error, but in `problems`; all other entries can be used.
 *
 * A file decides what is executed: one that other users can write is refused.
 * @param source path or `file:` URL of the file, or what it holds as an object
 * @returns the servers, and what is wrong
 * @throws PoolError `INVALID_OPTIONS` when the source is neither, or an option is wrong
 */
export async function loadMcpConfig(
  source: string | URL | object,
  options: LoadMcpConfigOptions = {},
): Promise<McpConfig> {
  return loadConfig(source, options);
}

/**
 * Keeps the servers of a pool as a configuration file has them: they are added, changed and removed when the file changes, once
 * it has been quiet for 500 ms. A file that is missing, half-written or wrong changes nothing, and an entry that is wrong keeps
 * its earlier definition: that is told by the event `config:rejected` of the pool, what was done by `config:applied`, and changed
 * limits, which are not applied, by `config:pool-changed`. Servers that the host has added itself are left alone.
 *
 * It keeps no host alive, and ends with the pool.
 * @param path path or `file:` URL. It need not exist yet
 * @param dependencies for tests. Default: the time of the host
 * @throws PoolError `INVALID_OPTIONS`
 */
export function watchMcpConfig(
  path: string | URL,
  pool: MCPServerPool,
  options: WatchMcpConfigOptions = {},
  dependencies: { readonly clock?: Clock } = {},
): McpConfigWatch {
  return watchConfig(path, pool, options, dependencies);
}
