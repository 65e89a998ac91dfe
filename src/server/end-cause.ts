import type { ReachedLevel } from '../config/monitoring-options.js';
import type { PoolError, PoolErrorCode, PoolErrorData } from '../errors.js';
import { END_MEANING, type EndReason } from './end-reason.js';

/** A limit of one server, or of the pool, that was exceeded. */
export interface ExceededLimit {
  /** The option that sets it. */
  readonly option: keyof typeof LIMITS;
  /** What was measured, and the limit: MB, percent of one core, or a number of processes. */
  readonly value: number;
  readonly limit: number;
}

/** Why the monitor ends a server: what its leases learn of it. */
export type EndCause = ExceededLimit | ReachedLevel;

/** What was measured, for each limit. */
const LIMITS = {
  memoryLimitMB: (value: number) => `its processes use ${value} MB`,
  cpuLimitPercent: (value: number) => `its processes use ${value} % of a core`,
  maxTreeProcesses: (value: number) => `it has ${value} processes`,
  'limits.memoryLimitMB': (value: number) => `all servers together use ${value} MB`,
  'limits.cpuLimitPercent': (value: number) => `all servers together use ${value} % of a core`,
} as const;

interface Ended {
  error(code: PoolErrorCode, what: string, more?: PoolErrorData): PoolError;
}

/** The error of the leases of a server that the pool ends. */
export function endedByPool(instance: Ended, reason: EndReason, cause: EndCause | undefined): PoolError {
  const code = END_MEANING[reason].leaseCode ?? 'SERVER_STOPPED';
  if (cause === undefined) return instance.error(code, `was ended by the pool (${reason})`);
  const { text, data } = 'option' in cause ? overLimit(cause) : atLevel(cause);
  return instance.error(code, `was ended by the pool (${reason}): ${text}`, data);
}

function overLimit({ option, value, limit }: ExceededLimit): { text: string; data: PoolErrorData } {
  const text = `${LIMITS[option](Math.round(value))}, more than the ${limit} of ${option}; raise it if the server needs that, or get another with getServer()`;
  return { text, data: { option, value, limit } };
}

function atLevel({ level, measured, threshold, by }: ReachedLevel): { text: string; data: PoolErrorData } {
  const what = by === 'processes' ? 'processes more than expected' : 'MB of memory in use';
  const text = `the pool is at level '${level}', with ${Math.round(measured)} ${what} (it begins at ${Math.round(threshold)}, monitoring.levels); call getServer() again when that is over`;
  return { text, data: { level, value: measured, limit: threshold } };
}
