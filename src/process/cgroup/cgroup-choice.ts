import { uptime } from 'node:os';
import type { CgroupLimits, Containment } from '../../config/containment-options.js';
import { errnoOf } from '../../errors.js';
import { noteProblem } from '../containment-problems.js';
import { type ProcessIdentity, TICKS_PER_SECOND } from '../process-table.js';
import { type CgroupFinder, forgetCgroups } from './cgroup-probe.js';
import { HostGroup } from './host-cgroup.js';
import type { InstanceGroup } from './instance-cgroup.js';

/** Ends a start that asks for `what`. */
export type Refuse = (what: string, why: string) => never;

interface GroupRequest {
  readonly containment: Containment;
  readonly cgroupLimits: CgroupLimits;
}

/** Where groups are made, and what stands in the way of joining one. */
interface GroupPlace {
  readonly find: CgroupFinder | undefined;
  readonly parent: string | undefined;
  readonly noShell: string | undefined;
}

/**
 * The cgroup of an instance with its limits. What cannot be had is refused where `containment` is `cgroup`; otherwise the
 * server starts without it, and the problem is noted.
 */
export function groupFor(
  { containment, cgroupLimits }: GroupRequest,
  instance: number,
  place: GroupPlace,
  refuse: Refuse,
): InstanceGroup | undefined {
  const made = tryToMake(instance, cgroupLimits, place);
  if (typeof made === 'string') {
    if (containment === 'cgroup') refuse("containment: 'cgroup'", made);
    // That a host may not make groups is so on most machines: the status of the pool says it, to those who ask.
    const limit = firstOf(cgroupLimits);
    if (limit) noteMissingLimit(`cgroupLimits.${limit}: ${made}`);
    return undefined;
  }
  const { group, missing } = made;
  const [first] = missing;
  if (first && containment === 'cgroup') {
    group.remove();
    refuse(`cgroupLimits.${first.option}`, first.why);
  }
  for (const { option, why } of missing) noteMissingLimit(`cgroupLimits.${option}: ${why}`);
  return group;
}

/** Or why there is none. */
function tryToMake(instance: number, limits: CgroupLimits, { find, parent, noShell }: GroupPlace) {
  const host = find?.(parent) ?? { problem: 'this system has no cgroups' };
  if (!(host instanceof HostGroup)) return host.problem;
  if (noShell !== undefined) return `${noShell}, by which a server would join it`;
  try {
    return host.make(instance, limits);
  } catch (error) {
    const problem = `no group can be made in ${host.folder} (${errnoOf(error) ?? 'unknown error'})`;
    noteMissingGroup(problem);
    return problem;
  }
}

/** Whether a server may not run outside its group: it was asked for by name, or for its limits. */
export function groupMustHold({ containment, cgroupLimits }: GroupRequest): boolean {
  return containment === 'cgroup' || firstOf(cgroupLimits) !== undefined;
}

/** The name of the first limit that is set. */
export function firstOf(limits: object): string | undefined {
  return Object.entries(limits).find(([, value]) => value !== undefined)?.[0];
}

/** In ticks: by then a shell has become the server. */
const STARTED = 100;

/**
 * Whether a server is where it was started, to be asked while its leader lives. If not, the host was moved to another group
 * since that was tried out, or the server went elsewhere: next time it is tried out anew.
 */
export function checkJoined(group: InstanceGroup, { pid, startTime }: ProcessIdentity, now = uptime()): void {
  if (now * TICKS_PER_SECOND - startTime < STARTED || group.pids().has(pid)) return;
  forgetCgroups();
  noteMissingGroup('a server was not in the cgroup that was made for it: it left it, or could not join');
}

export function noteMissingGroup(reason: string): void {
  noteProblem({
    part: 'cgroup',
    reason,
    consequence: 'a process that leaves its tree and resets both markers, or changes its user, lives on',
  });
}

function noteMissingLimit(reason: string): void {
  noteProblem({
    part: 'cgroup-limits',
    reason,
    consequence: "servers run without this limit; containment: 'cgroup' would not start them",
  });
}
