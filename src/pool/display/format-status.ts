import { resolveStatusFormat, type StatusFormat } from '../../config/call-options.js';
import type { Level } from '../../monitor/level.js';
import type { PoolStatus } from '../status.js';
import { type Color, lineOf, type Part } from './lines.js';
import { serverRows } from './server-rows.js';
import { statusTable } from './status-table.js';
import { printable } from './text-width.js';

const LEVEL_COLORS: Readonly<Record<Level, Color>> = {
  normal: 'green',
  warning: 'yellow',
  critical: 'red',
  nuclear: 'red',
  emergency: 'red',
};

/**
 * A status as lines for a terminal: the pool, a line for each server with state, processes, memory, CPU, leases, callers that
 * wait and health. Bars compare the servers of the pool: that with the most memory has a full one, and a full
 * one of the CPU is one core, or the server that uses most.
 *
 * All columns fit into 80; in more, names and bars get longer. In fewer there are no bars, then fewer columns, in this order:
 * PROC, WAIT, TREES, CPU, MEM, LEASE, HEALTH, STATE. What does not fit into its column is cut, with `…` at its end.
 * Control characters of names and messages are written as codes. Wide characters (East Asian, emoji) take two columns.
 *
 * @param status of `pool.status()`
 * @param options `color` (default: false), `width` in columns (default: 80)
 * @returns lines, without a line break at the end
 * @throws PoolError `INVALID_OPTIONS`
 */
export function formatStatus(status: PoolStatus, options: StatusFormat = {}): string {
  const format = resolveStatusFormat(options);
  const rows = serverRows(status.servers);
  const servers = rows.length === 0 ? [[{ text: 'no server is defined' }]] : statusTable(rows, format.width);
  const lines: Part[][] = [headline(status), [], ...servers];
  return lines.map((line) => lineOf(line, format)).join('\n');
}

function headline(status: PoolStatus): Part[] {
  const { state, level, processes, maxProcesses, idle, leases, waiting, startsWaiting } = status;
  const most = Number.isFinite(maxProcesses) ? maxProcesses : '∞';
  const starts = startsWaiting > 0 ? ` (and ${startsWaiting} starts)` : '';
  return [
    { text: printable(`pool ${state}`), color: 'bold' },
    { text: '  level ' },
    { text: printable(level), color: LEVEL_COLORS[level] },
    { text: `  trees ${processes}/${most}  idle ${idle}  leases ${leases}  waiting ${waiting}${starts}` },
  ];
}
