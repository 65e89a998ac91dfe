import { noteProblem } from '../containment-problems.js';
import type { ProcessRow, ProcessTable } from '../process-table.js';

/** Who gets the orphans of this machine, or of this container, for all that is known. */
const INIT = 1;

/** What Node calls itself as process 1, and what npm and its like, which are Node too, call themselves there. */
const NODE = /^(node|npm|npx|yarn|pnpm|MainThread)\b/;

/**
 * Process 1, when it is no init: Node, as this host itself or as the `npm start` above it. Node collects those whom it has
 * spawned, each by its pid, and nobody else. An orphan that dies under it stays a zombie, and takes a pid of the container
 * until that ends. Nothing that is reached from JavaScript or `sh` changes that: a subreaper is made by prctl(2), for which
 * neither util-linux nor busybox has a command.
 */
export function missingInit(table: ProcessTable, self = process.pid): ProcessRow | undefined {
  const init = table.read(INIT);
  return init !== undefined && (self === INIT || NODE.test(init.command)) ? init : undefined;
}

/** Says so where it is the case, once. */
export function noteMissingInit(table: ProcessTable, self = process.pid): void {
  const command = missingInit(table, self)?.command;
  if (command === undefined) return;
  noteProblem({
    part: 'init',
    reason: `process 1 of this container is no init but '${command}', which collects no orphans; start the container with \`docker run --init\` or tini, a pod with shareProcessNamespace`,
    consequence:
      'processes are ended from the leaves of their tree upward, so that each is collected by its parent; what has lost its parent before, in a crash or by a double fork, stays a zombie until the container ends',
  });
}

/** Zombies that only an init would collect. */
export interface Zombies {
  readonly count: number;
  /** How many of each program, by the system's name of it. */
  readonly commands: Readonly<Record<string, number>>;
  /** Why they are there; undefined when there are none. */
  readonly reason: string | undefined;
}

export interface ZombieOptions {
  /** The leaders of our servers: Node collects them in a moment. */
  readonly known?: ReadonlySet<number>;
  readonly self?: number;
}

/**
 * Counts the zombies under process 1, where that is no init. What this host has started without the pool is left out: it
 * is in the host's session, where no server is. All are 0 where there is an init, or no process 1 to be seen.
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
  const reason = `process 1 ('${init.command}') is no init: it collects nobody who lost his parent in a crash or by a double fork`;
  return { count: found.length, commands, reason: found.length > 0 ? reason : undefined };
}
