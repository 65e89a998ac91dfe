import { about, absolutePath, type Given, type Resolved } from './fields.js';
import { megabytes, numeric } from './number-fields.js';

/** The audit trail: a file with one JSON line for every start, end, signal, limit, level and action, without secrets. */
export const auditFields = {
  /**
   * Absolute path of the file, which only its user can read (0600). The older ones have `.1`, `.2`, … at the end. Its folder
   * must exist; no other user may be able to write to the file, or to replace it. Several pools and hosts of one user may have
   * the same path. Default: none, no audit trail.
   */
  path: about(
    'absolute path of the file; without it there is no audit trail ([its lines](monitoring.md#audit-trail))',
    absolutePath(),
  ),
  /** Size at which a new file is begun, in MB. Default: 10. */
  maxMB: about('size at which a new file is begun', megabytes(10, 1_000_000)),
  /** Number of older files that are kept, at most 100. Default: 5. */
  keep: about(
    'number of older files that are kept, at most 100',
    numeric(
      5,
      'a whole number from 0 to 100',
      { type: 'integer', minimum: 0, maximum: 100 },
      (value) => Number.isInteger(value) && value >= 0 && value <= 100,
    ),
  ),
};

/** The option `audit`. It cannot make a call of the pool fail: see the event `audit:failed`. */
export type AuditOptions = Given<typeof auditFields>;

/** The option `audit` with its defaults; `path` is undefined when there is no audit trail. */
export type ResolvedAudit = Resolved<typeof auditFields>;
