import { uptime } from 'node:os';
import type { CgroupLimits, Containment } from '../../config/containment-options.js';
import { errnoOf } from '../../errors.js';
import { noteProblem } from '../containment-problems.js';
import { type ProcessIdentity, TICKS_PER_SECOND } from '../process-table.js';
import { type CgroupFinder, forgetCgroups } from './cgroup-probe.js';
import { HostCgroup } from './host-cgroup.js';
import type { InstanceCgroup } from './instance-cgroup.js';

/** Throws the error of a start: `what` was asked for and is not available. */
export type Refuse = (what: string, why: string) => never;

interface CgroupRequest {
  readonly containment: Containment;
  readonly cgroupLimits: CgroupLimits;
}

/** Where cgroups are made, and what prevents a server from joining one. */
interface CgroupPlace {
  readonly find: CgroupFinder | undefined;
  readonly parent: string | undefined;
  /** Why there is no shell by which the server could join before it runs. */
  readonly noShell: string | undefined;
}

/**
 * Makes the cgroup of an instance, with its limits. If that is not possible, `containment: 'cgroup'` refuses the start;
 * otherwise the server starts without it, and the problem is noted.
 */
export function chooseCgroup(
  { containment, cgroupLimits }: CgroupRequest,
  instance: number,
  place: CgroupPlace,
  refuse: Refuse,
): InstanceCgroup | undefined {
  const made = tryToMake(instance, cgroupLimits, place);
  if (typeof made === 'string') {
    if (containment === 'cgroup') refuse("containment: 'cgroup'", made);
    // Most hosts may not make cgroups, so this alone is no problem to report: the status of the pool shows it.
    const limit = firstOf(cgroupLimits);
    if (limit) noteMissingLimit(`cgroupLimits.${limit}: ${made}`);
    return undefined;
  }
  const { cgroup, missing } = made;
  const [first] = missing;
  if (first && containment === 'cgroup') {
    cgroup.remove();
    refuse(`cgroupLimits.${first.option}`, first.why);
  }
  for (const { option, why } of missing) noteMissingLimit(`cgroupLimits.${option}: ${why}`);
  return cgroup;
}

/** The cgroup, or why there is none. */
function tryToMake(instance: number, limits: CgroupLimits, { find, parent, noShell }: CgroupPlace) {
  const host = find?.(parent) ?? { problem: 'this system has no cgroups' };
  if (!(host instanceof HostCgroup)) return host.problem;
  if (noShell !== undefined) return `${noShell}, by which a server would join it`;
  try {
    return host.make(instance, limits);
  } catch (error) {
    const problem = `no cgroup can be made in ${host.folder} (${errnoOf(error) ?? 'unknown error'})`;
    noteMissingCgroup(problem);
    return problem;
  }
}

/** Whether a server must be in its cgroup before it runs: the cgroup was asked for by name, or for its limits. */
export function requiresCgroup({ containment, cgroupLimits }: CgroupRequest): boolean {
  return containment === 'cgroup' || firstOf(cgroupLimits) !== undefined;
}

/** The name of the first limit that is set. */
export function firstOf(limits: object): string | undefined {
  return Object.entries(limits).find(([, value]) => value !== undefined)?.[0];
}

/** In ticks: within this time the shell that starts a server has become the server. */
const STARTED = 100;

/**
 * Checks that a server is in the cgroup that it was started in; call it while the leader lives. If it is not, the host
 * was moved to another cgroup since the probe, or the server left: then the next start probes again.
 */
export function checkJoined(cgroup: InstanceCgroup, { pid, startTime }: ProcessIdentity, now = uptime()): void {
  if (now * TICKS_PER_SECOND - startTime < STARTED || !cgroup.isOurs || cgroup.pids().has(pid)) return;
  forgetCgroups();
  noteMissingCgroup('a server was not in the cgroup that was made for it: it left it, or could not join');
}

export function noteMissingCgroup(reason: string): void {
  noteProblem({
    part: 'cgroup',
    reason,
    consequence: 'a process that leaves its tree and resets both marks, or changes its user, lives on',
  });
}

function noteMissingLimit(reason: string): void {
  noteProblem({
    part: 'cgroup-limits',
    reason,
    consequence: "servers run without this limit; containment: 'cgroup' would not start them",
  });
}
