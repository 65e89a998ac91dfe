import type { Containment, MarkerChoice, ResolvedContainment } from '../../config/containment-options.js';
import { namesOf, PoolError, type ServerNames, titleOf } from '../../errors.js';
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
import { limitProcess, withoutNewPrivileges } from './restrictions.js';

/** How the definition wants its processes held together. */
export interface ContainmentRequest extends ResolvedContainment, ServerNames {
  /** The mark of its processes, if the caller has made it already. Default: the next one. */
  readonly mark?: InstanceMark | undefined;
}

export interface StartRequest extends CommandLine {
  readonly env: Readonly<Record<string, string>>;
}

/** What a start depends on besides its definition. */
export interface StartPlace {
  readonly platform: Pick<Platform, 'detached' | 'marks' | 'cgroups'>;
  /** The cgroup below which that of the server is made. */
  readonly cgroupParent?: string | undefined;
  readonly findShell?: () => Shell | undefined;
}

export interface ContainedStart extends StartRequest {
  readonly containment: Containment;
  /** Which marks it has. */
  readonly markers: MarkerChoice;
  /** Undefined when it has no mark. */
  readonly mark: InstanceMark | undefined;
  /** The cgroup that was made for it. The caller must remove it, also when the spawn fails. */
  readonly cgroup: InstanceCgroup | undefined;
  /**
   * Whether it joins its cgroup only while it runs. A join waits for a grace period of the kernel (7 to 15 ms, measured
   * on Linux 6.18), so a server waits for it only if its definition asks for that. Until then the marks find what it
   * forks.
   */
  readonly joinsLater: boolean;
  /** The name of the shell that runs first and becomes the command, if one does; it may refuse the start. */
  readonly wrapper: string | undefined;
}

const NO_MARKERS: MarkerChoice = { environment: false, rlimit: false };

/**
 * Makes the command line and environment by which the descendants of a server are held together as its definition says.
 * The mark appears only in the result, so events and errors about the definition do not show it.
 * @throws PoolError `CONTAINMENT_UNAVAILABLE` when the definition asks for something that is not available here
 * @throws with an errno, as the spawn itself would, when the interpreter of the command is missing
 */
export function containedStart(
  definition: ContainmentRequest,
  request: StartRequest,
  { platform, cgroupParent, findShell = usableShell }: StartPlace,
): ContainedStart {
  const { containment, rlimits } = definition;
  const refuse: Refuse = (what, why) => {
    throw new PoolError(
      'CONTAINMENT_UNAVAILABLE',
      `${titleOf(definition)}: ${what} cannot be had: ${why}`,
      namesOf(definition),
    );
  };
  if (containment === 'group' && !platform.detached) {
    refuse("containment: 'group'", "this system has no process groups; use 'auto'");
  }
  const command = definition.noNewPrivileges
    ? (withoutNewPrivileges(request) ??
      refuse('noNewPrivileges', 'there is no setpriv that knows --no-new-privs; install util-linux'))
    : request;

  const wantsCgroup = containment === 'auto' || containment === 'cgroup';
  const mark = containment === 'group' ? undefined : (definition.mark ?? nextInstanceMark());
  const wanted = mark && platform.marks ? definition.markers : NO_MARKERS;
  const limits = limitProcess(rlimits);
  const survives = survivesShell(request.env);
  const needsShell = wanted.rlimit || (wantsCgroup && platform.cgroups !== undefined) || limits.length > 0;
  const shell = survives && needsShell ? findShell() : undefined;
  const joinsFirst = wantsCgroup && requiresCgroup(definition);
  const noShell = survives ? 'there is no usable /bin/sh' : 'its environment has a variable that no shell passes on';
  if (limits.length > 0 && !shell) refuse(`rlimits.${firstOf(rlimits)}`, noShell);
  const rlimit = wanted.rlimit && shell?.rlimits === true;
  if (wanted.rlimit && !rlimit) noteMissingLimit(survives ? undefined : `of ${titleOf(definition)}: ${noShell}`);
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
  const { file, args, wrapper } =
    shell !== undefined && fragments.length > 0
      ? wrap(shell, [...fragments, cleanEnvironment(env)], command)
      : { ...command, wrapper: undefined };
  const markers = { environment: wanted.environment, rlimit };
  const ownMark = markers.environment || markers.rlimit ? mark : undefined;
  return {
    file,
    args,
    env,
    containment,
    markers,
    mark: ownMark,
    cgroup,
    joinsLater: cgroup !== undefined && !joinsFirst,
    wrapper,
  };
}

function noteMissingLimit(reason = 'there is no usable /bin/sh that can set the limit of file locks'): void {
  noteProblem({
    part: 'rlimit-marker',
    reason,
    consequence: 'a process that leaves both its tree and its environment behind is found only in a cgroup',
  });
}
