import { noteProblem } from '../containment-problems.js';
import type { ProcessRow, ProcessTable } from '../process-table.js';

/** The process that orphans of this machine, or of this container, usually get as parent. */
const INIT = 1;

/** The names of Node as process 1, and of npm and similar tools, which are Node too. */
const NODE = /^(node|npm|npx|yarn|pnpm|MainThread)\b/;

/**
 * Process 1 if it is no init: Node, as this host itself or as the `npm start` above it. Node collects only the children
 * that it has spawned, each by its pid. An orphan that dies under it stays a zombie, and takes up a pid of the
 * container until the container ends. A subreaper would help, but it needs prctl(2), for which neither Node nor a
 * command of util-linux or busybox exists.
 */
export function missingInit(table: ProcessTable, self = process.pid): ProcessRow | undefined {
  const init = table.read(INIT);
  return init !== undefined && (self === INIT || NODE.test(init.command)) ? init : undefined;
}

/** Notes a missing init as a problem of the containment. */
export function noteMissingInit(table: ProcessTable, self = process.pid): void {
  const command = missingInit(table, self)?.command;
  if (command === undefined) return;
  noteProblem({
    part: 'init',
    reason: `process 1 of this container is no init but '${command}', which collects no orphans; start the container with \`docker run --init\` or tini, a pod with shareProcessNamespace`,
    consequence:
      'processes are ended from the leaves of their tree upward, so that each is collected by its parent; a process that has lost its parent before, by a crash or a double fork, stays a zombie until the container ends',
  });
}

/** Zombies that only an init would collect. */
export interface Zombies {
  readonly count: number;
  /** How many of each program, by its name in the process table. */
  readonly commands: Readonly<Record<string, number>>;
  /** Why there are zombies; undefined when there are none. */
  readonly reason: string | undefined;
}

export interface ZombieOptions {
  /** The leaders of our servers, which are not counted: Node will collect them. */
  readonly known?: ReadonlySet<number>;
  readonly self?: number;
}

/**
 * Counts the zombies under a process 1 that is no init. Zombies in the session of this host are left out: the host has
 * started them without the pool, because servers have sessions of their own. The count is 0 where there is an init, or
 * no visible process 1.
 */
export function zombies(table: ProcessTable, { known = new Set(), self = process.pid }: ZombieOptions = {}): Zombies {
  const init = missingInit(table, self);
  const commands: Record<string, number> = {};
  if (init === undefined) return { count: 0, commands, reason: undefined };
  const rows = table.scan();
  const session = rows.get(self)?.session;
  const found = [...rows.values()].filter((row) => {
    return row.dead && row.parent === INIT && row.session !== session && !known.has(row.pid);
  });
  for (const { command } of found) commands[command] = (commands[command] ?? 0) + 1;
  const reason = `process 1 ('${init.command}') is no init: it does not collect processes that have lost their parent by a crash or a double fork`;
  return { count: found.length, commands, reason: found.length > 0 ? reason : undefined };
}
