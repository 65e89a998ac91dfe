import { hostCgroups } from '../../process/cgroup/host-cgroup.js';
import { type LedgerRecord, parseRecord } from '../../process/guardian/ledger.js';
import { hostOrigin, type InstanceMark } from '../../process/marks/marker.js';
import { ownLogin } from '../../process/marks/search-knowledge.js';
import type { ProcessIdentity } from '../../process/process-table.js';
import { type LaneMember, memberOf, readJson, replaceFile, runName } from './lane-files.js';
import type { LaneFolder } from './lane-folder.js';

/**
 * What a holder writes down before it starts its command, so that the next one can end the tree if the holder dies. It stays
 * until the tree is proven dead.
 */
export interface RunRecord extends LaneMember {
  /** How the processes of the tree are found. Undefined where they have no marks. */
  readonly marked: { readonly host: LedgerRecord; readonly instance: number } | undefined;
  /**
   * Processes of the tree that are known by themselves: the one that was spawned is the first, then survivors. What has another user
   * (a setuid program) does not count by its marks. Empty before the start.
   */
  readonly known: readonly ProcessIdentity[];
}

export function writeRun(
  folder: LaneFolder,
  id: string,
  member: LaneMember,
  { instance }: InstanceMark,
  known: RunRecord['known'] = [],
): void {
  const origin = hostOrigin();
  // The secret of the host follows from its origin: like its ledger, this is for this user alone.
  const host = origin && { ...origin, cgroups: hostCgroups(), login: ownLogin() };
  replaceFile(folder, runName(id), JSON.stringify({ ...member, host, instance, known }));
}

/** Undefined when there is no such file, and for a file that {@link writeRun} has not written. */
export function readRun(folder: LaneFolder, id: string): RunRecord | undefined {
  const value = readJson(folder, runName(id));
  const member = memberOf(value);
  if (value === undefined || member === undefined) return undefined;
  const host = value.host === undefined ? undefined : parseRecord(JSON.stringify(value.host));
  const { instance, known } = value;
  const marked = host && typeof instance === 'number' && Number.isInteger(instance) ? { host, instance } : undefined;
  const identities = Array.isArray(known) ? known.map(identityIn).filter((one) => one !== undefined) : [];
  return { ...member, marked, known: identities };
}

function identityIn(value: unknown): ProcessIdentity | undefined {
  const { pid, startTime } = (value ?? {}) as Record<string, unknown>;
  if (typeof pid !== 'number' || !Number.isInteger(pid) || pid < 2 || typeof startTime !== 'number') return undefined;
  return { pid, startTime };
}
