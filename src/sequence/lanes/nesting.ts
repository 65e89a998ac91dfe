import { messageOf, PoolError } from '../../errors.js';
import type { MarkReader } from '../../process/marks/mark-reader.js';
import { environmentMatches, rlimitMatches } from '../../process/marks/marker.js';
import { runsIn } from './lane-files.js';
import type { LaneFolder } from './lane-folder.js';
import { readRun } from './run-record.js';
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
 * Refuses to wait for oneself. The turn must still last, or its tree not be proven dead: a process that has outlived it, or got
 * its environment from one (`at`, `tmux`), may wait as every other.
 * @param readMarks finds out also what runs without that variable, as a server of a pool does, or of the MCP SDK
 * @throws PoolError `LANE_NESTED`, `LANE_UNAVAILABLE`
 */
export function assertOutside(
  folder: LaneFolder,
  lane: string,
  readMarks: MarkReader | undefined,
  outer = process.env[VARIABLE],
): void {
  const names = folder.list();
  const runs = runsIn(names);
  const present = new Set([...runs, ...ticketsIn(names).map(({ id }) => id)]);
  const isNamed = entriesIn(outer).some((entry) => {
    const [name, id = ''] = entry.split('.');
    return name === folder.name && present.has(id);
  });
  if (!isNamed && !runs.some((id) => isInTree(folder, id, readMarks))) return;
  throw new PoolError(
    'LANE_NESTED',
    `lane '${lane}': this process runs in a command that holds the lane, so it would wait for its own end; start the command directly, or in another lane`,
    { name: lane },
  );
}

/** Whether this process has the marks of what that participant has started. */
function isInTree(folder: LaneFolder, id: string, readMarks: MarkReader | undefined): boolean {
  try {
    const marked = readRun(folder, id)?.marked;
    const own = marked && readMarks?.(process.pid);
    if (marked === undefined || own === undefined) return false;
    const mark = { host: marked.host.mark, instance: marked.instance };
    return environmentMatches(own.marks ?? [], mark) || (own.limit !== undefined && rlimitMatches(own.limit, mark));
  } catch (error) {
    // EMFILE.
    return folder.refuse(messageOf(error), error);
  }
}

function entriesIn(value = ''): string[] {
  return value.split(SEPARATOR).filter((entry) => ENTRY.test(entry));
}
