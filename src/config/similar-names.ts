import type { Fields } from './fields.js';
import { nearest } from './nearest.js';

/** Names that other hosts, or other objects of these options, have for an option: of each the first that is known counts. */
const SYNONYMS: Readonly<Record<string, readonly string[]>> = {
  session: ['owner'],
  sessionId: ['owner'],
  user: ['tenant'],
  userId: ['tenant'],
  acquireTimeout: ['timeout'],
  memoryMB: ['memoryLimitMB', 'limitMB', 'maxMB'],
  maxMemoryMB: ['memoryLimitMB'],
  maxMemory: ['memoryLimitMB'],
  cpuLimit: ['cpuLimitPercent'],
  maxCpuPercent: ['cpuLimitPercent'],
  maxProcesses: ['maxTreeProcesses'],
  restartOnLeak: ['restartOnMemoryLeak'],
  maxMB: ['limitMB'],
  limitMB: ['maxMB'],
  file: ['path'],
  folder: ['path'],
};

/** A shorter key may abbreviate anything. */
const SHORTEST = 4;

/** The known name that `key` may have meant; undefined when none is near. */
export function similarName(key: string, known: readonly string[]): string | undefined {
  return synonymsOf(key).find((name) => known.includes(name)) ?? nearest(key, known, 1)[0] ?? abbreviated(key, known);
}

/** Other names of the same thing. */
export function synonymsOf(key: string): readonly string[] {
  return Object.hasOwn(SYNONYMS, key) ? (SYNONYMS[key] ?? []) : [];
}

/** Its beginning, or at least half of its letters in its order, as `restartOnLeak` of `restartOnMemoryLeak`. */
function abbreviated(key: string, known: readonly string[]): string | undefined {
  if (key.length < SHORTEST) return undefined;
  return known.find((name) => isShort(key.toLowerCase(), name.toLowerCase()));
}

function isShort(key: string, name: string): boolean {
  if (name.startsWith(key)) return true;
  if (key.length * 2 < name.length) return false;
  let found = 0;
  for (const letter of name) if (letter === key[found]) found += 1;
  return found === key.length;
}

/** The end of the sentence "x is not a known option". */
export function didYouMean(key: string, known: readonly string[]): string {
  const near = similarName(key, known);
  return near === undefined ? '' : `; did you mean '${near}'?`;
}

/** The same for an object with sections that have options of their own: an option of a section is named with it. */
export function didYouMeanIn(sections: readonly (readonly [string, Fields])[]) {
  return (key: string, known: readonly string[]): string => {
    for (const name of [key, ...synonymsOf(key)]) {
      const section = sections.find(([, fields]) => Object.hasOwn(fields, name))?.[0];
      if (section !== undefined) return `; did you mean '${section}.${name}'?`;
    }
    return didYouMean(key, known);
  };
}
