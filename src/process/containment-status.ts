import type { Containment, MarkerChoice } from '../config/containment-options.js';
import { messageOf } from '../errors.js';
import { HostCgroup } from './cgroup/host-cgroup.js';
import { type ContainmentProblem, knownProblems } from './containment-problems.js';
import type { GuardStatus } from './guardian/host-guard.js';
import type { ContainmentLevel } from './launcher.js';
import type { Platform } from './platform.js';
import { type Zombies, zombies } from './platforms/init.js';
import { usableShell } from './wrapper.js';

/** What holds the processes of servers together on this host, and what is missing. */
export interface ContainmentStatus extends GuardStatus {
  /** The level of a server without a level in its definition. */
  readonly level: ContainmentLevel;
  /** The marks that are available on this host, independent of the definitions. */
  readonly markers: MarkerChoice;
  /** The folder of the host's cgroups, which exists while there are servers; undefined where no cgroups can be made. */
  readonly cgroup: string | undefined;
  /** What is missing, and the consequences. */
  readonly problems: readonly ContainmentProblem[];
  /** The zombies that no process collects, in a container without an init. */
  readonly zombies: Zombies;
}

export interface StatusRequest {
  readonly platform: Platform;
  /** The default of the pool. */
  readonly asked: Containment;
  readonly cgroupParent: string | undefined;
  readonly guard: GuardStatus;
  /** The leaders of living servers. */
  readonly pids: ReadonlySet<number>;
}

/** The status now. Probes what was not probed yet, as the first start would. */
export function containmentStatus({ platform, asked, cgroupParent, guard, pids }: StatusRequest): ContainmentStatus {
  const markers = { environment: platform.marks !== undefined, rlimit: hasRlimits(platform) };
  const host = platform.cgroups?.(cgroupParent) ?? NO_CGROUPS;
  const cgroup = host instanceof HostCgroup ? host.folder : undefined;
  const problems = [...knownProblems()];
  if (!(host instanceof HostCgroup) && asked !== 'group' && asked !== 'markers') {
    problems.push({ part: 'cgroup', reason: host.problem, consequence: WITHOUT_CGROUP });
  }
  if (!markers.environment) {
    problems.push({ part: 'environment-marker', reason: NO_MARKS, consequence: WITHOUT_MARKS });
  }
  if (platform.identity === undefined) {
    problems.push({ part: 'guardian', reason: 'there is none for this system', consequence: WITHOUT_GUARDIAN });
  }
  return {
    ...guard,
    level: levelOf(asked, markers, cgroup !== undefined),
    markers,
    cgroup,
    problems,
    zombies: zombiesOf(platform, pids),
  };
}

function levelOf(asked: Containment, markers: MarkerChoice, hasCgroup: boolean): ContainmentLevel {
  if (asked === 'group') return 'group';
  if (asked !== 'markers' && hasCgroup) return 'cgroup';
  return markers.environment || markers.rlimit ? 'markers' : 'tree';
}

/**
 * Counted only where there is no init. Never throws, because a status must be available also when other things fail.
 */
function zombiesOf({ table, withoutInit }: Platform, known: ReadonlySet<number>): Zombies {
  const none = { count: 0, commands: {}, reason: undefined };
  if (!withoutInit) return none;
  try {
    return zombies(table, { known });
  } catch (error) {
    return { ...none, reason: `they cannot be counted now: ${messageOf(error)}` };
  }
}

function hasRlimits({ marks }: Platform): boolean {
  return marks !== undefined && usableShell()?.rlimits === true;
}

const WITHOUT_GUARDIAN = 'what the servers have started may live on when the host is killed';
const NO_CGROUPS = { problem: 'this system has no cgroups' };
const WITHOUT_CGROUP = 'a process that leaves its tree and resets both marks, or changes its user, lives on';
const NO_MARKS = 'this system does not show the environment and the limits of processes';
const WITHOUT_MARKS = 'a process that leaves its tree is not found';
