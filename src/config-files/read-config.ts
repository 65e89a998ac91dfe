import type { McpConfigFormat } from './formats.js';
import type { RemoteServer } from './remote-server.js';

/** What a configuration says. */
export interface ReadConfig<Definition, Policy, Problem> {
  /** The host by whose rules the file was read: the one that was named, or the one that was found. */
  readonly format: McpConfigFormat;
  /** The servers that are started by a command, for `servers` of a pool, `addServer()` or `applyConfig()`. They may hold secrets. */
  readonly servers: Readonly<Record<string, Definition>>;
  /** The servers that are reached at an address, which no pool can hold. They may hold secrets. */
  readonly remote: Readonly<Record<string, RemoteServer>>;
  /** The names of the servers that are switched off. */
  readonly disabled: readonly string[];
  /** Limits and policy for `new MCPServerPool({ ...pool, servers })`: the key `pool` of the file. */
  readonly pool: Policy | undefined;
  /** Keys that only hosts know, such as `autoApprove`, by server, as they are written. They may hold secrets. */
  readonly extra: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** What is wrong, in the order of the file; no values that may be secret. */
  readonly problems: readonly Problem[];
}
