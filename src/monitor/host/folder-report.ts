import type { ExceededFolder } from '../../config/folder-options.js';

/** What one look at a folder has found and done: what a function for `onExceeded` gets, and more. */
export interface FolderReport extends ExceededFolder {
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
