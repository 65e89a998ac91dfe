import type { Containment, ResolvedContainment } from '../../config/containment-options.js';
import type { ResolvedRun } from '../../config/lane-options.js';
import { hostCgroups, onHostCgroup } from '../../process/cgroup/host-cgroup.js';
import { hostGuard } from '../../process/guardian/host-guard.js';
import type { LaunchSpec, ProcessHandlers, ServerProcess } from '../../process/launcher.js';
import type { InstanceMark } from '../../process/marks/marker.js';
import type { Platform } from '../../process/platform.js';
import { localLauncher } from '../../process/start/local-launcher.js';
import { usableShell } from '../../process/wrapper.js';

/** As that of a server by default. */
const CONTAINMENT: ResolvedContainment = {
  containment: 'auto' satisfies Containment,
  markers: { environment: true, rlimit: true },
  rlimits: { openFiles: undefined, processes: undefined, addressSpaceMB: undefined, core: undefined },
  noNewPrivileges: false,
  cgroupLimits: { memoryMB: undefined, swapMB: undefined, processes: undefined, cpuPercent: undefined },
};

/** What is to be started: for the check of the command as well as for the start. */
export function specOf(run: ResolvedRun, added: Readonly<Record<string, string>>, mark?: InstanceMark): LaunchSpec {
  const { command, args, cwd, env, stdio, termGrace } = run;
  const variables = Object.entries({ ...process.env, ...env, ...added });
  return {
    kind: 'command',
    name: command,
    command,
    args,
    cwd,
    resolvedEnv: Object.fromEntries(variables.filter((entry): entry is [string, string] => entry[1] !== undefined)),
    stdio: stdio === 'inherit' ? 'inherit' : 'pipe',
    mark,
    ...CONTAINMENT,
    // A command reads its stdin to the end before it has done its work; that end is no request to exit.
    eofGrace: 0,
    termGrace,
  };
}

/** Does once what the first start of a process has to find out: whether there are a shell and cgroups that it can use. */
export function probe({ cgroups }: Platform): void {
  usableShell();
  cgroups?.();
}

/** Has the guardian and the ledger ready for a start that is near. Returns what gives them back. */
export function makeReady(platform: Platform): () => void {
  const watch = hostGuard(platform).enter(true);
  return () => watch.ended();
}

/**
 * Starts a command, contained as a server is: marks, cgroup, guardian, ledger.
 * @param onCgroup called with a cgroup of this host that is new, before the command is in it
 * @throws PoolError as {@link localLauncher}
 */
export function startCommand(
  platform: Platform,
  spec: LaunchSpec,
  handlers: ProcessHandlers,
  onCgroup: () => void,
): ServerProcess {
  const guard = hostGuard(platform);
  for (const folder of hostCgroups()) guard.watchCgroup(folder);
  const unlisten = onHostCgroup((folder) => {
    guard.watchCgroup(folder);
    onCgroup();
  });
  try {
    return localLauncher(platform, { watch: () => guard.enter(true) }).launch(spec, handlers);
  } finally {
    unlisten();
  }
}
