import type { AppliedConfig } from './applied-config.js';

/** What `applyConfig()` has changed. */
export interface ConfigApplied extends AppliedConfig {
  /** That of the call: the path of the file with `watchMcpConfig()`. */
  readonly source: string;
}

/** A configuration file that cannot be used, or entries of it. */
export interface ConfigRejected {
  /** Its absolute path. */
  readonly file: string;
  /** The servers that keep an earlier definition, since that of the file is wrong; all of the file when it cannot be read. */
  readonly kept: readonly string[];
  /** What is wrong, one sentence each; no values that may be secret. */
  readonly problems: readonly ConfigProblem[];
}

/** What is wrong with a configuration file. */
export interface ConfigProblem {
  /**
   * `file`: nothing of the file can be used. `server`: this entry is left out, the others are used. `pool`: the key `pool` is
   * left out. `warning`: it is used, but most likely means something else.
   */
  readonly kind: 'file' | 'server' | 'pool' | 'warning';
  /** Its absolute path; undefined for an object. */
  readonly file: string | undefined;
  /** From 1; undefined when it concerns no place in the file. */
  readonly line: number | undefined;
  /** From 1, in UTF-16 units, as editors count. */
  readonly column: number | undefined;
  /** The key that it is about, such as `mcpServers.github.args`; empty for the file itself. */
  readonly key: string;
  /** The server that it is about. */
  readonly server: string | undefined;
  /** A sentence that says what to do. */
  readonly message: string;
}

/** The key `pool` of a watched file has changed. */
export interface PoolConfigChanged {
  /** Its absolute path. */
  readonly file: string;
  /** The options that have changed, such as `limits.maxProcesses`. */
  readonly changed: readonly string[];
}
