/** The watch of a configuration file, from which a pool gets its servers. */
export interface McpConfigWatch {
  /** Resolves when the file was read for the first time, whatever came of it. */
  readonly ready: Promise<void>;
  /** Reads the file now, and applies it, also when it has not changed. Resolves when that is done, whatever came of it. */
  reload(): Promise<void>;
  /** Ends it. The servers stay in the pool. */
  close(): void;
}
