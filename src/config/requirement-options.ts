import { isAbsolute } from 'node:path';
import {
  about,
  absolutePath,
  describeValue,
  type Field,
  type Given,
  isPlainObject,
  oneOf,
  optional,
  type Resolved,
} from './fields.js';
import { count, MOST_MEMORY_MB, megabytes, numeric } from './number-fields.js';
import { type Problems, readOptions } from './read-options.js';

/** 1 PB. A larger number is most likely one of bytes. */
const MOST_DISK_MB = 1_000_000_000;
/** Most file systems that are asked. */
const MOST_PATHS = 16;

/** Its entries are checked by {@link readRequirements}, which tells each that is wrong. */
const diskSpace: Field<Readonly<Record<string, number>>> = {
  default: {},
  check: (value) =>
    isPlainObject(value) ? undefined : `an object of paths ({ '/tmp': 1_024 }), got ${describeValue(value)}`,
  schema: {
    type: 'object',
    maxProperties: MOST_PATHS,
    propertyNames: absolutePath().schema,
    additionalProperties: { type: 'number', exclusiveMinimum: 0, maximum: MOST_DISK_MB },
  },
};

/** What this host must have before something is started. What is not given is not looked at. */
export const requirementFields = {
  /**
   * Least memory that is available, in MB: of the machine, and within the limit of each cgroup around this process. What the
   * kernel can drop at once counts as available.
   */
  freeMemoryMB: about(
    'memory that is available: the least of the machine and of each cgroup (container) around this process',
    optional(megabytes(1, MOST_MEMORY_MB)),
  ),
  /** Highest load: the mean number of runnable processes of the last minute, of the whole machine. Not on Windows. */
  maxLoad: about(
    'load average of the last minute, of the whole machine; not on Windows',
    optional(
      numeric(1, 'a finite number above 0', { exclusiveMinimum: 0 }, (value) => value > 0 && Number.isFinite(value)),
    ),
  ),
  /**
   * Least number of processes that may still be started, by that limit of which least is left: `pids.max` of the cgroups, those
   * of the kernel, RLIMIT_NPROC. The kernel counts each thread. Linux only.
   */
  freeProcesses: about(
    'what is left of the tightest limit: `pids.max`, those of the kernel, RLIMIT_NPROC; threads count; Linux only',
    optional(count(1, 1)),
  ),
  /** Least space that this user may still use, in MB, by absolute path: of the file system that this path is on. At most 16. */
  freeDiskMB: about('by absolute path: what this user may still write to its file system', diskSpace),
};

/** What is done when a requirement is not met. `wait` (default): it is looked at again. `fail`: `REQUIREMENTS_UNMET`. */
export const onUnmetField = oneOf('wait', 'wait', 'fail');

/** What a host must have before something is started; nothing of it is required by default. */
export type Requirements = Given<typeof requirementFields>;
export type ResolvedRequirements = Resolved<typeof requirementFields>;

/** The figures that a system does not have. */
const UNKNOWN: Readonly<Record<string, readonly (keyof Requirements)[]>> = {
  darwin: ['freeProcesses'],
  win32: ['freeProcesses', 'maxLoad'],
};

/**
 * Reads `requires`, and adds each problem.
 * @param path its name in error messages
 */
export function readRequirements(
  given: unknown,
  path: string,
  problems: Problems,
  system: string = process.platform,
): ResolvedRequirements {
  const read = readOptions(requirementFields, given, path, problems);
  for (const name of UNKNOWN[system] ?? [])
    if (read[name] !== undefined) problems.unsupported.push(`${path}.${name} cannot be measured on ${system}`);
  return { ...read, freeDiskMB: disksIn(read.freeDiskMB, `${path}.freeDiskMB`, problems) };
}

function disksIn(given: Readonly<Record<string, unknown>>, path: string, { wrong }: Problems): Record<string, number> {
  const entries = Object.entries(given);
  if (entries.length > MOST_PATHS) wrong.push(`${path} must have at most ${MOST_PATHS} paths, got ${entries.length}`);
  const space = megabytes(1, MOST_DISK_MB);
  const disks: [string, number][] = [];
  for (const [folder, value] of entries) {
    const name = `${path}[${JSON.stringify(folder)}]`;
    const isPath = isAbsolute(folder) && !folder.includes('\0');
    if (!isPath) wrong.push(`${name} must be named by an absolute path without NUL characters`);
    const problem = space.check(value);
    if (problem !== undefined) wrong.push(`${name} must be ${problem}`);
    else if (isPath) disks.push([folder, value as number]);
  }
  return Object.fromEntries(disks);
}
