import { PoolError } from '../../errors.js';
import type { LaneFolder } from './lane-folder.js';
import { ticketsIn } from './ticket.js';

/** The variable by which a command, and all that it starts, knows in which lanes it runs. */
const VARIABLE = 'MCP_SERVER_POOL_LANES';
const SEPARATOR = ':';
/** How many lanes around a command are remembered, the innermost ones. */
const MOST = 16;
const ENTRY = /^[0-9a-f]{16}\.[0-9a-f]{24}$/;

/** The variable for a command that gets that turn of the lane. */
export function nestingVariable(folder: LaneFolder, id: string, outer = process.env[VARIABLE]): Record<string, string> {
  const entries = [...entriesIn(outer), `${folder.name}.${id}`].slice(-MOST);
  return { [VARIABLE]: entries.join(SEPARATOR) };
}

/**
 * Refuses to wait for oneself. The turn that the environment names must still last: a process that has outlived it, or got its
 * environment from one (`at`, `tmux`), may wait as every other.
 * @throws PoolError `LANE_NESTED`
 */
export function assertOutside(folder: LaneFolder, lane: string, outer = process.env[VARIABLE]): void {
  const ids = entriesIn(outer)
    .filter((entry) => entry.startsWith(`${folder.name}.`))
    .map((entry) => entry.split('.')[1]);
  if (ids.length === 0 || !ticketsIn(folder.list()).some(({ id }) => ids.includes(id))) return;
  throw new PoolError(
    'LANE_NESTED',
    `lane '${lane}': this process runs in a command that holds the lane, so it would wait for its own end; start the command directly, or in another lane`,
    { name: lane },
  );
}

function entriesIn(value = ''): string[] {
  return value.split(SEPARATOR).filter((entry) => ENTRY.test(entry));
}
