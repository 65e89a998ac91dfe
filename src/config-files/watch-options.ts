import { noShorter, zeroOrNoShorter } from '../config/number-fields.js';
import { type LoadMcpConfigOptions, loadFields } from './load-options.js';

/** The checks of {@link WatchMcpConfigOptions}. */
export const watchFields = {
  ...loadFields,
  quiet: zeroOrNoShorter(500, 10),
  pollInterval: noShorter(5_000, 100),
};

/** Options of `watchMcpConfig()`: those of `loadMcpConfig()`, and when the file is read. */
export interface WatchMcpConfigOptions extends LoadMcpConfigOptions {
  /** How long the file must not change before it is read, in milliseconds, at least 10, or 0. Default: 500. */
  readonly quiet?: number | undefined;
  /**
   * Time between two looks at the file where the system reports no changes, such as on network drives, in milliseconds, at least
   * 100. Default: 5,000.
   */
  readonly pollInterval?: number | undefined;
}
