import type { HostCpus } from './host-sample.js';
import type { CgroupChain } from './own-cgroups.js';
import { limitIn, restOf, type SystemFiles, wholeNumber } from './system-files.js';

/**
 * The CPUs that this process may use.
 * @param status the content of /proc/self/status
 * @param parallelism what Node reports, for systems without such a file
 */
export function readCpus(
  files: SystemFiles,
  chain: CgroupChain,
  status: string | undefined,
  parallelism: number,
): HostCpus | undefined {
  // The kernel may allow CPUs that the machine does not have.
  const online = files.read('/sys/devices/system/cpu/online');
  const affinity = countBoth(restOf(status, 'Cpus_allowed_list:'), online) || parallelism;
  const quota = Math.min(...chain.folders.map((folder) => quotaOf(files, folder, chain.version)));
  if (quota < affinity) return { allowed: Math.round(quota * 100) / 100, from: 'quota' };
  return affinity > 0 ? { allowed: affinity, from: 'affinity' } : undefined;
}

/** In CPUs; Infinity where there is none. */
function quotaOf(files: SystemFiles, folder: string, version: 1 | 2): number {
  const [quota, period] =
    version === 2
      ? (files.read(`${folder}/cpu.max`)?.trim().split(' ') ?? [])
      : // -1, which is no whole number, for "no limit".
        [files.read(`${folder}/cpu.cfs_quota_us`), files.read(`${folder}/cpu.cfs_period_us`)];
  const cpus = (limitIn(quota) ?? Infinity) / (wholeNumber(period) || Number.NaN);
  return cpus > 0 ? cpus : Infinity;
}

type Range = readonly [first: number, last: number];

/** How many numbers are in both lists, such as `0-3,8`. 0 when one is no such list. */
function countBoth(one: string | undefined, other: string | undefined): number {
  const [left, right] = [rangesOf(one), rangesOf(other)];
  let count = 0;
  for (let i = 0, j = 0; ; ) {
    const [a, b] = [left[i], right[j]];
    if (a === undefined || b === undefined) return count;
    count += Math.max(0, Math.min(a[1], b[1]) - Math.max(a[0], b[0]) + 1);
    if (a[1] < b[1]) i++;
    else j++;
  }
}

function rangesOf(text = ''): Range[] {
  const ranges: Range[] = [];
  for (const part of text.trim().split(',')) {
    const [, first, last = first] = /^(\d{1,6})(?:-(\d{1,6}))?$/.exec(part) ?? [];
    const range: Range = [Number(first), Number(last)];
    if (!(range[0] > (ranges.at(-1)?.[1] ?? -1) && range[1] >= range[0])) return [];
    ranges.push(range);
  }
  return ranges;
}
