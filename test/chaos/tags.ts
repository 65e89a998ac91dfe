import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { onTestFinished } from 'vitest';
import { allPids, killProcess, type ProcessInfo, readProcess } from '../helpers/processes.js';
import { until } from '../helpers/until.js';

/** What processes are for → the tag among their arguments. */
export type Tags = Readonly<Record<string, string>>;

let count = 0;

/**
 * A tag for each name: a number that `sleep` can add to its time. All have the same length, so none is a part of another,
 * and they are found in the titles that npm gives itself. What bears one is killed when the test is over.
 */
export function newTags<K extends string>(names: readonly K[]): Record<K, string> {
  const tags = Object.fromEntries(names.map((name) => [name, newTag()])) as Record<K, string>;
  onTestFinished(() => killTagged(tags), 15_000);
  return tags;
}

function newTag(): string {
  count += 1;
  return `0.0${String(process.pid).padStart(8, '0')}${String(count).padStart(8, '0')}`;
}

/** The living processes that bear each tag, by one look at all command lines. Pids in `strangers` are not looked at. */
export function livingByTag<K extends string>(
  tags: Readonly<Record<K, string>>,
  strangers?: ReadonlySet<number>,
): Record<K, ProcessInfo[]> {
  const entries = Object.entries(tags) as [K, string][];
  const found = Object.fromEntries(entries.map(([name]) => [name, [] as ProcessInfo[]])) as Record<K, ProcessInfo[]>;
  for (const pid of allPids()) {
    if (strangers?.has(pid)) continue;
    const line = commandLine(pid);
    const [name] = entries.find(([, tag]) => line.includes(tag)) ?? [];
    if (name === undefined) continue;
    const row = readProcess(pid);
    if (row && !row.zombie) found[name].push(row);
  }
  return found;
}

export function countLiving(tags: Tags, strangers?: ReadonlySet<number>): number {
  return Object.values(livingByTag(tags, strangers)).flat().length;
}

/** A process that forks and exits again and again may be seen in none of several looks at the table. */
const LOOKS = 20;
const PAUSE = 10;

/** What is seen in any of several looks in a row, as `pid command`. */
export async function seenByTag<K extends string>(tags: Readonly<Record<K, string>>): Promise<Record<K, string[]>> {
  const seen = Object.fromEntries(Object.keys(tags).map((name) => [name, new Set<string>()]));
  for (let look = 0; look < LOOKS; look++) {
    if (look > 0) await sleep(PAUSE);
    for (const [name, rows] of Object.entries<ProcessInfo[]>(livingByTag(tags))) {
      for (const { pid, command } of rows) seen[name]?.add(`${pid} ${command}`);
    }
  }
  return Object.fromEntries(Object.entries(seen).map(([name, rows]) => [name, [...rows]])) as Record<K, string[]>;
}

/** Waits until no process is seen in several looks in a row, or the time is up. */
export async function untilNothingLives(tags: Tags, timeout: number): Promise<void> {
  let quiet = 0;
  const look = () => {
    quiet = countLiving(tags) === 0 ? quiet + 1 : 0;
    return quiet === LOOKS;
  };
  // What lives then is found, and named, by the look that follows.
  await until('nothing lives', look, { timeout, interval: PAUSE }).catch(() => {});
}

/** Empty for a zombie, and for a process that is gone. */
export function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1');
  } catch {
    return '';
  }
}

/** Again and again, since some of them fork all the time. */
async function killTagged(tags: Tags): Promise<void> {
  let quiet = 0;
  const kill = () => {
    const living = Object.values(livingByTag(tags)).flat();
    for (const row of living) killProcess(row);
    quiet = living.length === 0 ? quiet + 1 : 0;
    return quiet === LOOKS;
  };
  await until('what the test started is dead', kill, { interval: 1 });
}
