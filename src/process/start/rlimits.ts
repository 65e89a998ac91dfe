import type { ProcessLimits } from '../../config/containment-options.js';
import { type Fragment, refusal } from '../wrapper.js';

const KB_PER_MB = 1_024;

/**
 * How shells spell it. dash names the number of processes `-p`, which for bash and busybox is the size of a pipe and cannot
 * be set; these name it `-u`, which dash does not know. So whichever succeeds is the right one.
 */
const SET = {
  openFiles: 'ulimit -n "$1"',
  processes: 'ulimit -u "$1" || ulimit -p "$1"',
  addressSpaceMB: 'ulimit -v "$1"',
  core: 'ulimit -c "$1"',
  // The soft limit only: the hard one stays where it is.
  coreAllowed: 'ulimit -S -c "$1"',
} as const;

/** Sets the limits that were given, soft and hard, so that the server cannot raise them; or ends with the reason. */
export function limitProcess({ openFiles, processes, addressSpaceMB, core }: ProcessLimits): Fragment[] {
  return [
    ...(openFiles === undefined ? [] : [fragment('openFiles', SET.openFiles, openFiles)]),
    ...(processes === undefined ? [] : [fragment('processes', SET.processes, processes)]),
    ...(core === undefined
      ? []
      : [core ? fragment('core', SET.coreAllowed, 'unlimited') : fragment('core', SET.core, 0)]),
    // Last, since the shell itself has to do the others within it.
    ...(addressSpaceMB === undefined
      ? []
      : [fragment('addressSpaceMB', SET.addressSpaceMB, Math.floor(addressSpaceMB * KB_PER_MB))]),
  ];
}

function fragment(option: keyof ProcessLimits, set: string, value: number | 'unlimited'): Fragment {
  const refused = refusal(
    `rlimits.${option} could not be set to $1 by this shell; the hard limit of the host may be lower (ulimit -H -a)`,
  );
  return { script: `{ ${set}; } 2>/dev/null || ${refused}; shift`, values: [String(value)] };
}
