import { absolutePath, count, megabytes, type Resolved } from './fields.js';

/** The audit trail: a file with one JSON line for every start, end, signal, limit, level and action, without secrets. */
export const auditFields = {
  /**
   * Absolute path of the file, which only its user can read (0600). The older ones have `.1`, `.2`, … at the end. Default:
   * none, no audit trail.
   */
  path: absolutePath(),
  /** Size at which a new file is begun, in MB. Default: 10. */
  maxMB: megabytes(10),
  /** Number of older files that are kept. Default: 5. */
  keep: count(5, 0),
};

/** The option `audit` with its defaults; `path` is undefined when there is no audit trail. */
export type ResolvedAudit = Resolved<typeof auditFields>;
