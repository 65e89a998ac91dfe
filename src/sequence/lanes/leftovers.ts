import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { cgroupPids, isPopulated, JOINING, killCgroup, removeCgroup } from '../../process/cgroup/cgroup-files.js';
import { isCgroupOf } from '../../process/cgroup/host-cgroup.js';
import { pidScope } from '../../process/marks/host-origin.js';
import { sweep } from '../../process/marks/sweep.js';
import type { Platform } from '../../process/platform.js';
import { isAlive, type ProcessIdentity, type ProcessRow } from '../../process/process-table.js';
import { rest } from '../../runtime/rest.js';
import { removeFile, runName, runsIn } from './lane-files.js';
import type { LaneFolder } from './lane-folder.js';
import { type RunRecord, readRun } from './run-record.js';

/** A process, as events name it. */
export interface NamedProcess {
  readonly pid: number;
  readonly command: string;
}

/** What an earlier holder of the lane had left. */
export interface LeftTree {
  /** The process that had called `run()`, and its command. */
  readonly holder: NamedProcess;
  /** The processes that were killed. */
  readonly processes: readonly NamedProcess[];
  /** The processes that live nevertheless: the lane waits for their end. */
  readonly survivors: readonly NamedProcess[];
}

export interface LeftoverOptions {
  readonly platform: Platform;
  /** Ends the attempts. */
  readonly signal: AbortSignal;
  /** Called when the tree is dead, if there was a process; and once when it lives nevertheless. */
  onLeft(left: LeftTree): void;
}

/** Ms between two attempts, at first and at most. */
const FIRST_PAUSE = 20;
const LONGEST_PAUSE = 1_000;

/**
 * Ends what earlier holders of the lane have left, and resolves when it is proven dead. To be called by the holder before it
 * starts anything. What cannot be ended (a process of another user, or in state D) is waited for.
 * @throws the reason of the signal, when that is aborted
 */
export async function endLeftovers(
  folder: LaneFolder,
  ownId: string | undefined,
  options: LeftoverOptions,
): Promise<void> {
  for (const id of runsIn(folder.list())) {
    if (id === ownId) continue;
    const record = readRun(folder, id);
    if (record !== undefined) await endLeft(record, options);
    removeFile(folder, runName(id));
  }
}

async function endLeft(record: RunRecord, { platform, signal, onLeft }: LeftoverOptions): Promise<void> {
  const killed = new Map<string, NamedProcess>();
  let isTold = false;
  const tell = (survivors: readonly ProcessRow[]) => {
    const { pid, command } = record;
    onLeft({ holder: { pid, command }, processes: [...killed.values()], survivors: survivors.map(named) });
  };
  for (let pause = FIRST_PAUSE; ; pause = Math.min(pause * 2, LONGEST_PAUSE)) {
    signal.throwIfAborted();
    const { found, living } = await endOnce(record, platform);
    for (const row of found) killed.set(`${row.pid}@${row.startTime}`, named(row));
    if (living === undefined) break;
    // The first attempt may only have been too early.
    if (!isTold && pause > FIRST_PAUSE && living.length > 0) {
      isTold = true;
      tell(living);
    }
    await rest(pause);
  }
  if (killed.size > 0) tell([]);
}

/** What one attempt has found. `living`: undefined when it is proven that nothing lives. */
interface Attempt {
  readonly found: readonly ProcessRow[];
  readonly living: readonly ProcessRow[] | undefined;
}

const NOTHING: Attempt = { found: [], living: undefined };

async function endOnce({ marked, known }: RunRecord, platform: Platform): Promise<Attempt> {
  const scope = marked && pidScope();
  // The machine was booted again.
  if (scope?.bootId !== marked?.host.bootId) return NOTHING;
  const isMarked = marked !== undefined && platform.marks !== undefined;
  const { found, living } = isMarked ? await endMarked(marked, platform) : endGroup(known[0], platform);
  // In another container the numbers are those of others.
  const isHere = scope?.namespaces === marked?.host.namespaces;
  const others = isHere ? known.flatMap((one) => endKnown(one, platform) ?? []) : [];
  const all = new Map([...(living ?? []), ...others].map((row) => [row.pid, row]));
  const isProven = living === undefined && others.length === 0;
  return { found: [...found, ...others], living: isProven ? undefined : [...all.values()] };
}

async function endMarked({ host, instance }: NonNullable<RunRecord['marked']>, platform: Platform): Promise<Attempt> {
  const cgroups = host.cgroups.filter((folder) => isOf(folder, host.mark)).map((folder) => join(folder, `${instance}`));
  const inCgroups = cgroups.flatMap((cgroup) => killIn(cgroup, platform));
  const { killed, survivors, quiet } = await sweep({ host: host.mark, instance }, platform, {
    since: host.startTime,
    login: host.login,
    hold: true,
  });
  const found = [...inCgroups, ...killed];
  if (!quiet || survivors.length > 0 || cgroups.some((cgroup) => isPopulated(cgroup)))
    return { found, living: survivors };
  for (const cgroup of cgroups) removeCgroup(cgroup);
  return { found, living: undefined };
}

function isOf(folder: string, mark: { readonly id: string }): boolean {
  try {
    return isCgroupOf(folder, mark);
  } catch {
    // It is gone.
    return false;
  }
}

function killIn(cgroup: string, { table }: Platform): ProcessRow[] {
  // The holder died while it moved its command in: a stranger may be there. What belongs to the tree has its mark.
  if (existsSync(cgroup + JOINING)) return [];
  const rows = [...cgroupPids(cgroup)].map((pid) => table.read(pid));
  killCgroup(cgroup);
  return rows.filter((row) => row !== undefined);
}

/** A process that may show no mark of the tree. Undefined when it is dead. */
function endKnown({ pid, startTime }: ProcessIdentity, { table, signalProcess }: Platform): ProcessRow | undefined {
  table.forget?.();
  if (!isAlive(table, pid, startTime)) return undefined;
  signalProcess(pid, 'SIGKILL');
  return table.read(pid);
}

/** Without marks: the group of the leader, as long as the leader itself shows that the number is still its own. */
function endGroup(leader: ProcessIdentity | undefined, { table, signalGroup }: Platform): Attempt {
  if (leader === undefined || !isAlive(table, leader.pid, leader.startTime)) return NOTHING;
  const row = table.read(leader.pid);
  signalGroup(leader.pid, 'SIGKILL');
  table.forget?.();
  return { found: row ? [row] : [], living: row ? [row] : [] };
}

function named({ pid, command }: NamedProcess): NamedProcess {
  return { pid, command };
}
