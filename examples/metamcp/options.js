// @ts-check
import { MCPServerPool } from 'mcp-server-pool';

/**
 * @typedef {import('./definition.js').ServerParameters} ServerParameters
 * @typedef {Pick<Console, 'info' | 'warn' | 'error'>} Log
 *
 * @typedef {object} McpServerPoolOptions
 * @property {number} [defaultIdleCount] spare processes of each server. Default: 1
 * @property {number} [maxTotalConnections] most process trees at once. Default: 100
 * @property {(params: ServerParameters) => Partial<import('mcp-server-pool').ServerDefinition>} [policyOf] options of a server
 *   that replace those of `definition.js`. Default: none
 * @property {(options: import('mcp-server-pool').PoolOptions) => MCPServerPool} [makePool] Default: a pool of its own;
 *   `(options) => MCPServerPool.global(options)` is one pool for the drop-in, too
 * @property {() => Promise<number | null>} [getSessionLifetime] age in ms at which a session ends; null: never. Default: null
 * @property {(uuid: string, exitCode: number | null, signal: string | null) => void} [onServerCrash] for an error tracker
 * @property {(name: string, line: string) => void} [onStderr] for a store of logs
 * @property {Log} [log] Default: the console
 */

/** @type {Required<McpServerPoolOptions>} */
export const DEFAULTS = {
  defaultIdleCount: 1,
  maxTotalConnections: 100,
  policyOf: () => ({}),
  makePool: (options) => new MCPServerPool(options),
  getSessionLifetime: async () => null,
  onServerCrash: () => {},
  onStderr: () => {},
  log: console,
};
