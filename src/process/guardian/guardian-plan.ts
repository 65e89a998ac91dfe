import { type HostMark, parseHostMark } from '../marks/marker.js';
import type { DeadHost } from './dead-hosts.js';
import type { ReaperProgram } from './reaper-program.js';

/** What a guardian needs to know at its start. */
export interface GuardianPlan {
  /** A usable POSIX shell. Without one the reaper itself keeps watch, which costs the memory of a Node process. */
  readonly shell: string | undefined;
  /** Undefined where servers have no marks: then there is nothing to sweep. */
  readonly host: HostMark | undefined;
  /** Undefined when its file was removed since the pool was created. */
  readonly reaper: ReaperProgram | undefined;
  /** Start time of the host. */
  readonly since: number;
  /** The ledger of the host, which is removed when no process is left. */
  readonly ledger: string | undefined;
  /** The folders of its cgroups. */
  readonly cgroups: readonly string[];
}

/** What the reaper needs to know. */
export interface ReaperPlan extends DeadHost {
  readonly ledger: string | undefined;
}

/** The variable by which the shell passes the lines of the plan on to the reaper: other users cannot read it. */
export const PLAN_VARIABLE = 'MCP_SERVER_POOL_REAP';

/** The lines by which a guardian learns its plan from its stdin, which other users cannot read. */
export function planLines({ host, since, ledger, cgroups }: Omit<GuardianPlan, 'shell' | 'reaper'>): string {
  const mark = host ? `m ${host.secret}\ni ${host.id}\nn ${host.number}\n` : '';
  const paths = [...(ledger === undefined ? [] : [planLine('l', ledger)]), ...cgroups.map((one) => planLine('c', one))];
  return `${mark}s ${since}\n${paths.join('')}`;
}

/** Names the ledger (`l`), or one more cgroup (`c`). Empty for a path that would be read as several lines. */
export function planLine(word: 'l' | 'c', path: string): string {
  return path.includes('\n') ? '' : `${word} ${path}\n`;
}

/**
 * Reads such lines. The first mark counts: what was written later may be of a host that has given up its privileges. Skips all others.
 * Undefined without a mark and a start time: they were not written by a guardian.
 */
export function readPlan(lines: readonly string[]): ReaperPlan | undefined {
  const of = (word: string) => lines.filter((line) => line.startsWith(`${word} `)).map((line) => line.slice(2));
  const mark = parseHostMark(of('m')[0] ?? '');
  const startTime = Number(of('s')[0]);
  if (mark === undefined || !Number.isInteger(startTime)) return undefined;
  return { mark, startTime, ledger: of('l').at(-1), cgroups: of('c') };
}
