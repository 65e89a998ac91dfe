import type { Containment, MarkerChoice, ResolvedContainment } from '../../config/containment-options.js';
import { PoolError } from '../../errors.js';
import { chooseCgroup, firstOf, type Refuse, requiresCgroup } from '../cgroup/cgroup-choice.js';
import type { InstanceCgroup } from '../cgroup/instance-cgroup.js';
import { noteProblem } from '../containment-problems.js';
import { environmentValue, type InstanceMark, MARK_VARIABLE, nextInstanceMark, rlimitValue } from '../marks/marker.js';
import type { Platform } from '../platform.js';
import {
  type CommandLine,
  cleanEnvironment,
  interpreterProblem,
  limitLocks,
  type Shell,
  survivesShell,
  usableShell,
  wrap,
} from '../wrapper.js';
import { withoutNewPrivileges } from './no-new-privileges.js';
import { limitProcess } from './rlimits.js';

/** What of a definition says how its processes are held together. */
export interface ContainmentRequest extends ResolvedContainment {
  readonly name: string;
}

export interface StartRequest extends CommandLine {
  readonly env: Readonly<Record<string, string>>;
}

/** Where a server is started. */
export interface StartPlace {
  readonly platform: Pick<Platform, 'detached' | 'marks' | 'cgroups'>;
  /** Below which its cgroup is made. */
  readonly cgroupParent?: string | undefined;
  readonly findShell?: () => Shell | undefined;
}

export interface ContainedStart extends StartRequest {
  readonly containment: Containment;
  /** Which markers it bears. */
  readonly markers: MarkerChoice;
  /** Undefined when it bears none. */
  readonly mark: InstanceMark | undefined;
  /** The cgroup that was made for it. To be removed, also when the spawn fails. */
  readonly cgroup: InstanceCgroup | undefined;
  /**
   * Whether it is taken into its group when it runs. A join waits for a grace period of the kernel (7 to 15 ms, measured on
   * Linux 6.18), for which nobody shall wait who has not asked for it: until then the marks hold what it forks.
   */
  readonly joinsLater: boolean;
  /** Whether a shell becomes the command, which may refuse. */
  readonly wrapped: boolean;
}

const NO_MARKERS: MarkerChoice = { environment: false, rlimit: false };

/**
 * How a server is started so that all that descends from it is held together as its definition says, and no more. The
 * definition stays as it is: nothing that is told about it knows the mark.
 * @throws PoolError `CONTAINMENT_UNAVAILABLE`: something was asked for that cannot be had here
 * @throws with an errno, as the spawn itself would, when the interpreter of the command is missing
 */
export function containedStart(
  definition: ContainmentRequest,
  request: StartRequest,
  { platform, cgroupParent, findShell = usableShell }: StartPlace,
): ContainedStart {
  const { containment, rlimits } = definition;
  const refuse: Refuse = (what, why) => {
    throw new PoolError('CONTAINMENT_UNAVAILABLE', `server '${definition.name}': ${what} cannot be had: ${why}`, {
      name: definition.name,
    });
  };
  if (containment === 'group' && !platform.detached) {
    refuse("containment: 'group'", "this system has no process groups; use 'auto'");
  }
  const command = definition.noNewPrivileges
    ? (withoutNewPrivileges(request) ??
      refuse('noNewPrivileges', 'there is no setpriv that knows --no-new-privs; install util-linux'))
    : request;

  const wantsCgroup = containment === 'auto' || containment === 'cgroup';
  const mark = containment === 'group' ? undefined : nextInstanceMark();
  const wanted = mark && platform.marks ? definition.markers : NO_MARKERS;
  const limits = limitProcess(rlimits);
  const survives = survivesShell(request.env);
  const needsShell = wanted.rlimit || (wantsCgroup && platform.cgroups !== undefined) || limits.length > 0;
  const shell = survives && needsShell ? findShell() : undefined;
  const joinsFirst = wantsCgroup && requiresCgroup(definition);
  const noShell = survives ? 'there is no usable /bin/sh' : 'its environment has a variable that no shell hands on';
  if (limits.length > 0 && !shell) refuse(`rlimits.${firstOf(rlimits)}`, noShell);
  const rlimit = wanted.rlimit && shell?.rlimits === true;
  if (wanted.rlimit && !rlimit) noteMissingLimit(survives ? undefined : `of server '${definition.name}': ${noShell}`);
  const errno = shell && interpreterProblem(request.file);
  if (errno) throw Object.assign(new Error(`${errno}: the interpreter of ${request.file}`), { code: errno });

  const env = mark && wanted.environment ? { ...request.env, [MARK_VARIABLE]: environmentValue(mark) } : request.env;
  const place = { find: platform.cgroups, parent: cgroupParent, noShell: shell || !joinsFirst ? undefined : noShell };
  const cgroup = mark && wantsCgroup ? chooseCgroup(definition, mark.instance, place, refuse) : undefined;
  const fragments = [
    ...(cgroup && joinsFirst ? [cgroup.join()] : []),
    ...(mark && rlimit ? [limitLocks(rlimitValue(mark))] : []),
    ...limits,
  ];
  const wrapped = shell !== undefined && fragments.length > 0;
  const { file, args } = wrapped ? wrap(shell, [...fragments, cleanEnvironment(env)], command) : command;
  const markers = { environment: wanted.environment, rlimit };
  const borne = markers.environment || markers.rlimit ? mark : undefined;
  return {
    file,
    args,
    env,
    containment,
    markers,
    mark: borne,
    cgroup,
    joinsLater: cgroup !== undefined && !joinsFirst,
    wrapped,
  };
}

function noteMissingLimit(reason = 'there is no usable /bin/sh that can set the limit of file locks'): void {
  noteProblem({
    part: 'rlimit-marker',
    reason,
    consequence: 'a process that leaves both its tree and its environment behind is found only in a cgroup',
  });
}
