import type { ResolvedRequirements } from '../../config/requirement-options.js';
import { namesOf, PoolError, type ServerNames, titleOf, type UnmetRequirement } from '../../errors.js';

/** What a host has left. What cannot be read is undefined. */
export interface Headroom {
  readonly freeMemoryMB?: number | undefined;
  /** Mean number of runnable processes of the last minute. */
  readonly load?: number | undefined;
  readonly freeProcesses?: number | undefined;
  /** By path. */
  readonly freeDiskMB?: Readonly<Record<string, number | undefined>> | undefined;
}

/** Whether anything is required at all. */
export function isAsked({ freeDiskMB, ...others }: ResolvedRequirements): boolean {
  return Object.keys(freeDiskMB).length > 0 || Object.values(others).some((value) => value !== undefined);
}

/** What of it is not met. What cannot be measured is not met: nothing shows that there is enough. Pure. */
export function unmetIn(requires: ResolvedRequirements, headroom: Headroom): UnmetRequirement[] {
  const { freeMemoryMB, maxLoad, freeProcesses, freeDiskMB } = requires;
  const asked: (Omit<UnmetRequirement, 'required'> & { readonly required: number | undefined })[] = [
    { requirement: 'freeMemoryMB', required: freeMemoryMB, measured: headroom.freeMemoryMB },
    { requirement: 'maxLoad', required: maxLoad, measured: headroom.load },
    { requirement: 'freeProcesses', required: freeProcesses, measured: headroom.freeProcesses },
    ...Object.entries(freeDiskMB).map(([path, required]) => {
      return { requirement: 'freeDiskMB' as const, path, required, measured: headroom.freeDiskMB?.[path] };
    }),
  ];
  return asked.flatMap(({ required, ...rest }) => {
    if (required === undefined) return [];
    const { requirement, measured } = rest;
    const isMet = measured !== undefined && (requirement === 'maxLoad' ? measured <= required : measured >= required);
    return isMet ? [] : [{ ...rest, required }];
  });
}

/** Each number and its requirement, as the end of a sentence. */
export function describeUnmet(unmet: readonly UnmetRequirement[]): string {
  return unmet.map(describe).join('; ');
}

function describe({ requirement, path, required, measured }: UnmetRequirement): string {
  const [has, needs] = [measured === undefined ? 'an unknown number of' : inWords(measured), inWords(required)];
  switch (requirement) {
    case 'freeMemoryMB':
      return `${has} MB of memory are free, ${needs} MB are required (freeMemoryMB)`;
    case 'maxLoad':
      return `the load is ${measured === undefined ? 'unknown' : has}, at most ${needs} is allowed (maxLoad)`;
    case 'freeProcesses':
      return `${has} more processes can be started, ${needs} are required (freeProcesses)`;
    case 'freeDiskMB':
      return `${has} MB are free at ${path}, ${needs} MB are required (freeDiskMB)`;
  }
}

function inWords(value: number): string {
  return value.toLocaleString('en-US', { maximumFractionDigits: 2 });
}

/** @param about what was to be started */
export function requirementsUnmet(about: ServerNames, unmet: readonly UnmetRequirement[]): PoolError {
  const message = `${titleOf(about)} was not started, since this host lacks what it requires: ${describeUnmet(unmet)}; free it, lower 'requires', or set onUnmet: 'wait'`;
  return new PoolError('REQUIREMENTS_UNMET', message, { ...namesOf(about), unmet });
}
