/** A folder with a budget. */
export interface FolderOptions {
  /** An absolute path. The last part must not be a symbolic link. */
  readonly path: string;
  /** How much the files in it may take on the disk, in MB. */
  readonly limitMB: number;
  /**
   * What is done when they take more. `report`: nothing. `prune-oldest`: the files that were not changed for longest are
   * removed until the rest fits, on Linux only. Or a function of the host.
   */
  readonly onExceeded: 'report' | 'prune-oldest' | ((usage: FolderUsage) => unknown);
}

/** What a function for `onExceeded` gets. */
export interface FolderUsage {
  readonly path: string;
  readonly limitMB: number;
  /** What the files in it take on the disk, MB. A file with several names counts once. */
  readonly sizeMB: number;
  readonly files: number;
}

/** What one look at a folder has found and done. */
export interface FolderReport extends FolderUsage {
  /** `sizeMB` before anything was removed. */
  readonly measuredMB: number;
  /** Whether the limit was exceeded, before anything was removed; undefined when that is not known: see `problem`. */
  readonly exceeded: boolean | undefined;
  /** Whether a function of the host was called. With `dryRun`: whether it would have been. */
  readonly isCall: boolean;
  /** Files that were removed; `sizeMB` and `files` are without them. With `dryRun`: those that would have been. */
  readonly removed: number;
  readonly removedMB: number;
  /** What could not be measured or done, and why; undefined when all was. */
  readonly problem: string | undefined;
}
